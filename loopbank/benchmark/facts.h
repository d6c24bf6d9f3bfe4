#pragma once
/// The facts part of the embedded benchmark: invented people and towns, described in statements and
/// asked about in questions. It measures knowledge: how much of what was stated the weights retain.
///
/// Some entities have their questions in training text, so that the form of a question can be
/// learned; the others appear in statements only, and only they are evaluated.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/benchmark/benchmark_instance.h"
#include "loopbank/support/field.h"
#include "loopbank/support/random.h"

namespace loopbank {

struct FactsOptions {
  int64_t num_people = 96;
  int64_t num_places = 32;
  /// Different values of an attribute; never more than there are entities, and birthplaces are
  /// places.
  int64_t values_per_attribute = 16;
  int64_t wordings_per_fact = 8;  ///< statements of each fact
  double asked_share = 0.5;       ///< of the entities: their questions are in training text
  double question_share = 0.3;    ///< of the bytes of facts in training text: questions

  /// Key, allowed values and meaning of each option.
  [[nodiscard]] std::vector<Field> fields();
};

/// One attribute of one person or place.
struct Fact {
  int64_t entity = 0;     ///< people first, then places
  int64_t attribute = 0;  ///< person attributes first, then those of places
  std::string value;
};

/// A world of facts; the same options and seed give the same world.
class Facts {
 public:
  /// @throws Error kConfig for an option outside its range, with both values
  Facts(const FactsOptions& options, uint64_t seed);

  /// Every fact, the facts of an entity one after another.
  [[nodiscard]] const std::vector<Fact>& all() const { return facts_; }
  [[nodiscard]] const FactsOptions& options() const { return options_; }
  /// Whether the questions about this fact's entity are in training text. A fact of an entity that
  /// is not asked about there is evaluated.
  [[nodiscard]] bool is_asked(const Fact& fact) const;
  [[nodiscard]] std::string_view attribute_name(const Fact& fact) const;

  /// The fact in one of its wordings: "Mara Dovin hails from Telgrad."
  [[nodiscard]] std::string statement(const Fact& fact, RandomStream& random) const;
  /// "Question: Where was Mara Dovin born? Answer:"; the answer follows after a space.
  [[nodiscard]] std::string question(const Fact& fact) const;
  /// All values of this attribute.
  [[nodiscard]] const std::vector<std::string>& values(int64_t attribute) const;

 private:
  void add_entities(int64_t count, bool people, RandomStream& random);

  FactsOptions options_;
  std::vector<std::string> names_;
  std::vector<bool> asked_;
  std::vector<Fact> facts_;
  std::vector<std::vector<std::string>> values_;  ///< by attribute
};

/// An endless series of documents about a world. Every fact is stated, and every question asked,
/// once before any is repeated; half of the stating documents are portraits of one entity after
/// another.
class FactWriter {
 public:
  FactWriter(const Facts& facts, uint64_t seed);

  /// Statements, one after another.
  [[nodiscard]] std::string telling_document();
  /// Questions about entities that may be asked about, with their answers, one per line.
  [[nodiscard]] std::string question_document();

 private:
  const Facts& facts_;
  RandomStream random_;
  std::vector<const Fact*> tellings_;  ///< still to be stated in this pass, the next one last
  std::vector<const Fact*> questions_;
  bool portraits_ = false;
};

/// At most `count` questions about entities that training text never asks about, spread over them;
/// wrong answers are values that other entities have for the attribute. Labels are balanced.
[[nodiscard]] std::vector<BenchmarkInstance> fact_instances(const Facts& facts, int64_t count,
                                                            uint64_t seed);

}  // namespace loopbank
