#include "loopbank/benchmark/biographies.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <string_view>

#include "loopbank/benchmark/invented_names.h"
#include "loopbank/benchmark/synthetic.h"
#include "loopbank/support/error.h"
#include "loopbank/support/random.h"
#include "loopbank/support/settings.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kGivenNames = 64;
constexpr uint64_t kSurnames = 512;
static_assert(kMostPeople < static_cast<int64_t>(kGivenNames * kSurnames));

constexpr uint64_t kDays = 28;
constexpr uint64_t kYears = 64;
constexpr uint64_t kFirstYear = 1930;
constexpr uint64_t kNamesOfKind = 64;  // cities, universities, companies
constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};
constexpr std::array<std::string_view, 32> kFields = {
    "algebra",  "anatomy",   "art",      "biology",  "botany",    "chemistry",  "dance",
    "drama",    "economics", "ethics",   "finance",  "geology",   "grammar",    "history",
    "law",      "logic",     "medicine", "music",    "optics",    "painting",   "pharmacy",
    "physics",  "poetry",    "politics", "rhetoric", "sculpture", "statistics", "surgery",
    "theology", "topology",  "tourism",  "zoology"};

struct BiographyAttribute {
  std::string_view name;
  uint64_t num_values;
  std::array<std::string_view, 3> wordings;  ///< between the person's name and the value
};

enum BiographyIndex : size_t { kBirth, kCity, kUniversity, kField, kCompany };

constexpr std::array<BiographyAttribute, kFactsOfPerson> kBiographyAttributes = {{
    {"birth", kDays* kMonths.size() * kYears, {"was born on", "saw the light on", "dates from"}},
    {"city", kNamesOfKind, {"grew up in", "comes from", "is a child of"}},
    {"university", kNamesOfKind, {"went to university in", "graduated in", "was a student in"}},
    {"field", kFields.size(), {"studied", "has a degree in", "wrote a thesis on"}},
    {"company", kNamesOfKind, {"works for", "is employed by", "is on the staff of"}},
}};

struct Person {
  std::string name;
  std::array<uint64_t, kFactsOfPerson> values;
};

class People {
 public:
  People(uint64_t num_people, uint64_t seed) {
    RandomStream random(derive_seed(seed, "people"));
    std::set<std::string> taken;
    const auto given = invent_names(NameKind::kGivenName, kGivenNames, random, taken);
    const auto surnames = invent_names(NameKind::kSurname, kSurnames, random, taken);
    for (const auto attribute : {kCity, kUniversity}) {
      names_[attribute] = invent_names(NameKind::kTown, kNamesOfKind, random, taken);
    }
    names_[kField].assign(kFields.begin(), kFields.end());
    names_[kCompany] = invent_names(NameKind::kSurname, kNamesOfKind, random, taken);
    const Permutation order(kGivenNames * kSurnames, random.bits());
    for (uint64_t i = 0; i < num_people; ++i) {
      const auto name = order[i];
      people_.push_back({given[name / kSurnames] + " " + surnames[name % kSurnames], {}});
      for (size_t j = 0; j < kBiographyAttributes.size(); ++j) {
        people_.back().values[j] = random.below(kBiographyAttributes[j].num_values);
      }
    }
  }

  [[nodiscard]] const std::vector<Person>& people() const { return people_; }

  /// The value as text, with the full stop of its sentence.
  [[nodiscard]] std::string value(size_t attribute, uint64_t index) const {
    if (attribute == kBirth) {
      return fmt::format("{} {} {}.", 1 + index % kDays, kMonths[index / kDays % kMonths.size()],
                         kFirstYear + index / (kDays * kMonths.size()));
    }
    return names_[attribute][index] + ".";
  }

 private:
  std::vector<Person> people_;
  std::array<std::vector<std::string>, kFactsOfPerson> names_;  // but for dates
};

/// A telling as (what precedes a value, attribute), sentence by sentence.
struct Sentence {
  std::string beginning;
  size_t attribute;
};

std::vector<Sentence> tell_person(const Person& person, RandomStream& random) {
  std::array<size_t, kFactsOfPerson> order{};
  std::iota(order.begin(), order.end(), size_t{0});
  std::vector<Sentence> sentences;
  for (size_t left = order.size(); left > 0; --left) {
    std::swap(order[left - 1], order[random.below(left)]);
    const auto attribute = order[left - 1];
    const auto& wordings = kBiographyAttributes[attribute].wordings;
    sentences.push_back(
        {fmt::format("{} {}", person.name, wordings[random.below(wordings.size())]), attribute});
  }
  return sentences;
}

std::string telling_of(const People& world, const Person& person, RandomStream& random) {
  std::string text;
  for (const auto& [beginning, attribute] : tell_person(person, random)) {
    text += fmt::format("{}{} {}", text.empty() ? "" : " ", beginning,
                        world.value(attribute, person.values[attribute]));
  }
  return text;
}

/// Everybody once, in a new order.
std::vector<std::string> tell_all(const People& world, RandomStream& random) {
  const auto& people = world.people();
  const Permutation order(people.size(), random.bits());
  std::vector<std::string> documents;
  for (size_t i = 0; i < people.size(); ++i) {
    documents.push_back(telling_of(world, people[order[i]], random));
  }
  return documents;
}

std::vector<std::string> tell_training(const People& world, const SyntheticOptions& options) {
  RandomStream random(derive_seed(options.seed, "training text"));
  std::vector<std::string> documents;
  for (int64_t i = 0; i < options.tellings; ++i) {
    auto round = tell_all(world, random);
    std::move(round.begin(), round.end(), std::back_inserter(documents));
  }
  return documents;
}

std::vector<std::string> tell_validation(const People& world, const SyntheticOptions& options) {
  RandomStream random(derive_seed(options.seed, "validation text"));
  std::vector<std::string> documents;
  for (int64_t bytes = 0; bytes < options.validation_bytes;) {
    for (auto& document : tell_all(world, random)) {
      if (bytes < options.validation_bytes) {
        bytes += std::ssize(document);
        documents.push_back(std::move(document));
      }
    }
  }
  return documents;
}

/// The right value and three others of the attribute; the right one at a random place.
void add_values(const People& world, size_t attribute, uint64_t right, RandomStream& random,
                BenchmarkInstance& question) {
  std::vector<uint64_t> values = {right};
  while (std::ssize(values) < kBenchmarkChoices) {
    const auto other = random.below(kBiographyAttributes[attribute].num_values);
    if (std::find(values.begin(), values.end(), other) == values.end()) {
      values.push_back(other);
    }
  }
  question.label = static_cast<int64_t>(random.below(values.size()));
  std::swap(values.front(), values[static_cast<size_t>(question.label)]);
  for (const auto value : values) {
    question.choices.push_back(world.value(attribute, value));
  }
}

/// A new telling of the person up to the attribute's value.
BenchmarkInstance ask_biography(const People& world, uint64_t number, size_t asked,
                                RandomStream& random) {
  const auto& person = world.people()[number];
  BenchmarkInstance question{
      .task = kBiographiesTask,
      .id = fmt::format("{}-{}-{}", kBiographiesTask, kBiographyAttributes[asked].name, number),
      .kind = std::string(kBiographyAttributes[asked].name),
      .context = {},
      .choices = {},
      .prior_bits = std::log2(static_cast<double>(kBiographyAttributes[asked].num_values))};
  for (const auto& [beginning, attribute] : tell_person(person, random)) {
    question.context += beginning;
    if (attribute == asked) {
      break;
    }
    question.context += fmt::format(" {} ", world.value(attribute, person.values[attribute]));
  }
  add_values(world, asked, person.values[asked], random, question);
  return question;
}

GeneratedTask ask_of_people(const People& world, const SyntheticOptions& options) {
  RandomStream random(derive_seed(options.seed, "questions"));
  const auto num_people = world.people().size();
  const Permutation order(num_people, random.bits());
  const auto room = std::max<int64_t>(1, options.num_eval_instances / kFactsOfPerson);
  GeneratedTask task{.name = kBiographiesTask, .instances = {}};
  for (uint64_t i = 0; i < std::min<uint64_t>(num_people, static_cast<uint64_t>(room)); ++i) {
    for (size_t attribute = 0; attribute < kBiographyAttributes.size(); ++attribute) {
      task.instances.push_back(ask_biography(world, order[i], attribute, random));
    }
  }
  return task;
}

void check_biographies(const SyntheticOptions& options) {
  if (options.people.values.size() != 1) {
    fail(ErrorCode::kConfig,
         "synthetic: expected one number of \"people\" in a world, got {}. A study makes a part of "
         "each number of a list.",
         fmt::join(options.people.values, ", "));
  }
  if (!options.beyond.empty()) {
    fail(ErrorCode::kConfig,
         "synthetic: expected no \"beyond\" of biographies, which have no difficulty, got \"{}\".",
         options.beyond);
  }
}

}  // namespace

Generated make_biographies(const SyntheticOptions& options) {
  check_biographies(options);
  const People world(static_cast<uint64_t>(options.people.values.front()), options.seed);
  Generated generated{.training_documents = tell_training(world, options),
                      .validation_documents = tell_validation(world, options),
                      .tasks = {ask_of_people(world, options)},
                      .description = {}};
  auto written = options;
  const Json description = {{"seed", options.seed},
                            {"options", write_json(written.fields())},
                            {"facts", num_facts(options)},
                            {"bits_of_person", bits_of_person()}};
  generated.description = description.dump(2);
  return generated;
}

double bits_of_person() {
  return std::accumulate(kBiographyAttributes.begin(), kBiographyAttributes.end(), 0.0,
                         [](double bits, const BiographyAttribute& attribute) {
                           return bits + std::log2(static_cast<double>(attribute.num_values));
                         });
}

int64_t num_facts(const SyntheticOptions& options) {
  return options.people.values.front() * kFactsOfPerson;
}

std::string world_name(const SyntheticOptions& options) {
  return options.task == kBiographiesTask
             ? fmt::format("{}-{}", options.task, fmt::join(options.people.values, "-"))
             : options.task;
}

}  // namespace loopbank
