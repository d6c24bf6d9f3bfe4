#pragma once
/// Invented people with facts drawn uniformly, to measure in bits how much a model knows: bioS of
/// Allen-Zhu and Li, Physics of Language Models 3.3 (arXiv 2404.05405), in small.
///
///     birth date   28 days x 12 months x 64 years      14.4 bits   "Dabo Reskul was born on 3 May 1961"
///     city         64                                   6
///     university   64                                   6
///     field        32                                   5
///     company      64                                   6            37.4 bits a person
///
/// A document tells of one person: a sentence for each attribute, in a random order and in one of
/// three wordings each, all with the whole name. A question is a new telling cut before a value, so
/// that memory is asked for and nothing else; the full stop belongs to the answer, so that no value
/// is the beginning of another and probabilities of all values add up to 1 at most. `prior_bits` of
/// a question is log2 of the number of values.
///
/// Unlike in the other tasks questions are about what training tells: facts are to be remembered.
/// The validation text tells of the same people anew, in other words: its loss falls as they are
/// learned.

#include <cstdint>
#include <string>

#include "loopbank/benchmark/generated.h"

namespace loopbank {

struct SyntheticOptions;

inline constexpr const char* kBiographiesTask = "biographies";
inline constexpr int64_t kFewestPeople = 16;
inline constexpr int64_t kMostPeople = 30'000;
/// Facts of a person.
inline constexpr int64_t kFactsOfPerson = 5;

/// The world of `people`, which is one number here: every person told `tellings` times in the
/// training text, each once before any is told again; the validation text in `validation_bytes`; of
/// as many people as `instances` has room for all five facts asked. Other options are those of
/// other tasks.
/// @throws Error kConfig for several numbers of people, and for a task `beyond`, which facts have
///         not
[[nodiscard]] Generated make_biographies(const SyntheticOptions& options);

/// Bits of all facts of a person.
[[nodiscard]] double bits_of_person();

/// Facts of the world of biographies.
[[nodiscard]] int64_t num_facts(const SyntheticOptions& options);

/// The task's name; of biographies with the number of people, "biographies-250".
[[nodiscard]] std::string world_name(const SyntheticOptions& options);

}  // namespace loopbank
