#include "loopbank/benchmark/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "loopbank/benchmark/fact_templates.h"
#include "loopbank/benchmark/invented_names.h"
#include "loopbank/support/error.h"
#include "loopbank/support/rounding.h"
#include "loopbank/support/shuffle.h"

namespace loopbank {
namespace {

constexpr int64_t kFactsPerDocument = 6;
constexpr int64_t kMaxValues = 24;
/// Of people and of places: entities on both sides of the split, and four birthplaces.
constexpr int64_t kMinEntities = 8;
constexpr int64_t kPeoplePerGivenName = 4;

int64_t num_person_attributes() {
  return static_cast<int64_t>(person_attributes().size());
}

const Attribute& attribute_of(int64_t index) {
  const auto people = person_attributes();
  return index < num_person_attributes()
             ? people[static_cast<size_t>(index)]
             : place_attributes()[static_cast<size_t>(index - num_person_attributes())];
}

std::vector<std::string> full_names(int64_t count, RandomStream& random,
                                    std::set<std::string>& taken) {
  const auto num_given = divide_up(count, kPeoplePerGivenName);
  const auto given =
      invent_names(NameKind::kGivenName, std::min(num_given, int64_t{1000}), random, taken);
  auto names = invent_names(NameKind::kSurname, count, random, taken);
  for (auto& name : names) {
    name = given[random.below(given.size())] + " " + name;
  }
  return names;
}

std::vector<std::string> values_of(const Attribute& attribute, int64_t count,
                                   const std::vector<std::string>& towns, RandomStream& random,
                                   std::set<std::string>& taken) {
  const auto num_values = static_cast<size_t>(count);
  std::vector<std::string> values;
  switch (attribute.values) {
    case ValueKind::kTown:
      values.assign(towns.begin(), towns.begin() + static_cast<std::ptrdiff_t>(
                                                       std::min(num_values, towns.size())));
      break;
    case ValueKind::kRiver:
      values = invent_names(NameKind::kRiver, count, random, taken);
      break;
    case ValueKind::kCountry:
      values = invent_names(NameKind::kCountry, count, random, taken);
      break;
    case ValueKind::kSurname:
      values = invent_names(NameKind::kSurname, count, random, taken);
      break;
    case ValueKind::kWord:
      values.assign(attribute.words.begin(), attribute.words.end());
      shuffle(values, random);
      values.resize(num_values);
      break;
  }
  return values;
}

/// A value for each of `count` entities, all values as often as each other but for one: the most
/// frequent answer is no better than a guess. Values that nobody got go from `values`.
std::vector<std::string> deal(std::vector<std::string>& values, int64_t count,
                              RandomStream& random) {
  shuffle(values, random);
  values.resize(std::min(values.size(), static_cast<size_t>(count)));
  std::vector<std::string> dealt;
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    dealt.push_back(values[i % values.size()]);
  }
  shuffle(dealt, random);
  return dealt;
}

}  // namespace

std::vector<Field> FactsOptions::fields() {
  const auto most_people = static_cast<double>(max_invented_names(NameKind::kSurname) / 2);
  const auto most_places = static_cast<double>(max_invented_names(NameKind::kTown));
  return {Field("people", &num_people, "invented people, each with 4 facts")
              .range(kMinEntities, most_people),
          Field("places", &num_places, "invented towns, each with 4 facts")
              .range(kMinEntities, most_places),
          Field("values", &values_per_attribute, "different values that an attribute can have")
              .range(kBenchmarkChoices, kMaxValues),
          Field("wordings", &wordings_per_fact, "different statements that tell each fact")
              .range(1, kNumWordings),
          Field("asked_share", &asked_share,
                "fraction of the entities whose questions are in the training text")
              .positive()
              .below(1.0),
          Field("question_share", &question_share,
                "fraction of the training text on facts, in bytes, that is questions")
              .positive()
              .below(1.0)};
}

Facts::Facts(const FactsOptions& options, uint64_t seed) : options_(options) {
  auto checked = options;
  check_fields(checked.fields(), "facts");
  RandomStream random(derive_seed(seed, "world of facts"));
  std::set<std::string> taken;
  const auto towns = invent_names(NameKind::kTown, options.num_places, random, taken);
  names_ = full_names(options.num_people, random, taken);
  names_.insert(names_.end(), towns.begin(), towns.end());
  const auto num_attributes =
      num_person_attributes() + static_cast<int64_t>(place_attributes().size());
  for (int64_t attribute = 0; attribute < num_attributes; ++attribute) {
    values_.push_back(
        values_of(attribute_of(attribute), options.values_per_attribute, towns, random, taken));
  }
  add_entities(options.num_people, true, random);
  add_entities(options.num_places, false, random);
}

void Facts::add_entities(int64_t count, bool people, RandomStream& random) {
  const auto num_asked = std::clamp(std::llround(options_.asked_share * static_cast<double>(count)),
                                    1LL, static_cast<long long>(count) - 1);
  const auto first = static_cast<int64_t>(asked_.size());
  for (int64_t i = 0; i < count; ++i) {
    asked_.push_back(i < num_asked);
  }
  const size_t begin = people ? 0 : person_attributes().size();
  const size_t end = people ? person_attributes().size() : values_.size();
  std::vector<std::vector<std::string>> dealt;
  for (size_t attribute = begin; attribute < end; ++attribute) {
    dealt.push_back(deal(values_[attribute], count, random));
  }
  for (int64_t i = 0; i < count; ++i) {
    for (size_t attribute = begin; attribute < end; ++attribute) {
      facts_.push_back({first + i, static_cast<int64_t>(attribute),
                        std::move(dealt[attribute - begin][static_cast<size_t>(i)])});
    }
  }
}

bool Facts::is_asked(const Fact& fact) const {
  return asked_[static_cast<size_t>(fact.entity)];
}

std::string_view Facts::attribute_name(const Fact& fact) const {
  return attribute_of(fact.attribute).name;
}

const std::vector<std::string>& Facts::values(int64_t attribute) const {
  return values_[static_cast<size_t>(attribute)];
}

std::string Facts::statement(const Fact& fact, RandomStream& random) const {
  // Which of the wordings a fact has is a matter of the fact, so that with few of them the
  // wordings are still met with equal frequency.
  const auto first = mix_bits(static_cast<uint64_t>(fact.entity * 64 + fact.attribute));
  const auto step = random.below(static_cast<uint64_t>(options_.wordings_per_fact));
  const auto& statements = attribute_of(fact.attribute).statements;
  return fill_template(statements[(first % kNumWordings + step) % kNumWordings],
                       names_[static_cast<size_t>(fact.entity)], fact.value);
}

std::string Facts::question(const Fact& fact) const {
  return fmt::format("Question: {} Answer:",
                     fill_template(attribute_of(fact.attribute).question,
                                   names_[static_cast<size_t>(fact.entity)], ""));
}

FactWriter::FactWriter(const Facts& facts, uint64_t seed) : facts_(facts), random_(seed) {}

std::string FactWriter::telling_document() {
  if (tellings_.empty()) {
    for (const auto& fact : facts_.all()) {
      tellings_.push_back(&fact);
    }
    shuffle(tellings_, random_);
    portraits_ = !portraits_;
    if (portraits_) {
      // Entities in a random order, each with its facts in a random order.
      const auto seed = random_.bits();
      const auto place = [&](const Fact* fact) {
        return mix_bits(seed ^ static_cast<uint64_t>(fact->entity));
      };
      std::stable_sort(tellings_.begin(), tellings_.end(),
                       [&](const Fact* a, const Fact* b) { return place(a) < place(b); });
    }
  }
  std::string text;
  const auto entity = tellings_.back()->entity;
  for (int64_t i = 0; i < kFactsPerDocument && !tellings_.empty(); ++i) {
    const auto* fact = tellings_.back();
    if (portraits_ && fact->entity != entity) {
      break;
    }
    tellings_.pop_back();
    text += fmt::format("{}{}", text.empty() ? "" : " ", facts_.statement(*fact, random_));
  }
  return text;
}

std::string FactWriter::question_document() {
  std::string text;
  for (int64_t i = 0; i < kFactsPerDocument; ++i) {
    if (questions_.empty()) {
      for (const auto& fact : facts_.all()) {
        if (facts_.is_asked(fact)) {
          questions_.push_back(&fact);
        }
      }
      shuffle(questions_, random_);
    }
    const auto* fact = questions_.back();
    questions_.pop_back();
    text += fmt::format("{} {}\n", facts_.question(*fact), fact->value);
  }
  return text;
}

std::vector<BenchmarkInstance> fact_instances(const Facts& facts, int64_t count, uint64_t seed) {
  RandomStream random(derive_seed(seed, "questions on facts"));
  std::vector<const Fact*> told;
  for (const auto& fact : facts.all()) {
    if (!facts.is_asked(fact)) {
      told.push_back(&fact);
    }
  }
  shuffle(told, random);
  told.resize(std::min(told.size(), static_cast<size_t>(count)));
  std::vector<BenchmarkInstance> instances;
  for (const auto* fact : told) {
    auto others = facts.values(fact->attribute);
    std::erase(others, fact->value);
    shuffle(others, random);
    const auto label = static_cast<int64_t>(instances.size()) % kBenchmarkChoices;
    others.resize(static_cast<size_t>(kBenchmarkChoices) - 1);
    others.insert(others.begin() + label, fact->value);
    instances.push_back({.task = "facts",
                         .id = fmt::format("facts-{}", instances.size()),
                         .kind = std::string(facts.attribute_name(*fact)),
                         .difficulty = 1,
                         .context = facts.question(*fact),
                         .choices = std::move(others),
                         .label = label,
                         .steps = std::vector<int64_t>(fact->value.size(), 1)});
  }
  return instances;
}

}  // namespace loopbank
