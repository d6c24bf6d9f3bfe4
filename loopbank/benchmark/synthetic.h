#pragma once
/// Tasks of the literature on what loops and memory are for, made by the program: exact answers, a
/// difficulty that is a parameter, train and test disjoint (docs/tasks.md).
///
///     p-hop     follow p links in a string of symbols        hops.h
///     mano      modular expressions of k operators           mano.h
///     i-gsm     variables of which k have to be computed     graph.h
///     addition  two numbers of k digits                      addition.h
///
/// biographies (benchmark/biographies.h) is no such task but a world of facts to be remembered.
///
/// Training text holds problems of every difficulty of `difficulty`, each as often as the others. The
/// task NAME asks problems of these that are in no training text; NAME-beyond those of `beyond`, which
/// training never sees. Every symbol is one byte, so that a tokenizer of bytes makes it one token.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/benchmark/generated.h"
#include "loopbank/support/field.h"

namespace loopbank {

/// Difficulties from min to max, both included.
struct DifficultyRange {
  int64_t min = 1;
  int64_t max = 1;
};

/// "1-4" as a range; "3" is that difficulty alone.
/// @param key  of the setting, for errors
/// @throws Error kConfig for another form
[[nodiscard]] DifficultyRange parse_difficulty_range(const std::string& key,
                                                     const std::string& text);

struct SyntheticOptions {
  std::string task;  ///< empty: none
  uint64_t seed = 1;
  std::string difficulty = "1-4";
  std::string beyond;                ///< empty: nothing is asked beyond
  int64_t num_eval_instances = 256;  ///< of each of the two tasks, at most
  double held_out_share = 0.125;     ///< of all problems: never in training text
  int64_t training_bytes = 4'000'000;
  int64_t validation_bytes = 100'000;
  int64_t problems = 8;     ///< of a document; p-hop: a string is one
  int64_t symbols = 4;      ///< p-hop: different symbols of a string
  int64_t length = 32;      ///< p-hop: symbols in a string
  int64_t modulus = 7;      ///< mano, i-gsm
  int64_t distractors = 2;  ///< i-gsm: assignments of no use
  bool reversed = false;    ///< addition: least digit first

  IntOrList people = 1000;  ///< biographies: told of; a study makes a part of each number
  int64_t tellings = 20;    ///< biographies: of each person in the training text

  /// Key, allowed values and meaning of each option but for `seed`.
  [[nodiscard]] std::vector<Field> fields();
};

/// Names of the tasks, in the order of the docs.
[[nodiscard]] std::vector<std::string> synthetic_tasks();

/// The tasks that a model is asked about: NAME, and NAME-beyond where `beyond` is not empty.
[[nodiscard]] std::vector<std::string> tasks_of(const SyntheticOptions& options);

/// How often guessing answers a question of one of these tasks rightly: the best guess of who sees which
/// answers there can be and, in p-hop, p and the string's last two symbols; of mano, if the questions
/// are many, for a small modulus and few operators may leave some dozens. Empty: never, in effect.
[[nodiscard]] std::optional<double> guessing_of(const SyntheticOptions& options,
                                                const std::string& name);

/// The same options give the same text and questions on every machine.
/// @throws Error kConfig for an unknown task, an option outside its range, difficulties that are both
///         trained and asked beyond, and where problems of the wanted kind cannot be found
[[nodiscard]] Generated make_synthetic(const SyntheticOptions& options);

}  // namespace loopbank
