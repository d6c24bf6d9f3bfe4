#include "loopbank/benchmark/facts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "loopbank/benchmark/fact_templates.h"
#include "loopbank/benchmark/invented_names.h"
#include "tests/support/occurrences.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::count_of;
using testing::error_of;
using testing::expect_contains;

constexpr uint64_t kFactsSeed = 7;
constexpr int64_t kNumAttributes = 8;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// The text of a fact's question without its frame, which names the entity and the attribute.
std::string key_of(const Facts& facts, const Fact& fact) {
  return facts.question(fact);
}

TEST(InventNames, AreNewCapitalizedAndUnlikeOneAnother) {
  std::set<std::string> taken = {"Mara"};
  RandomStream random(kFactsSeed);
  std::set<std::string> seen;
  for (const auto kind : {NameKind::kGivenName, NameKind::kSurname, NameKind::kTown,
                          NameKind::kRiver, NameKind::kCountry}) {
    const auto names = invent_names(kind, max_invented_names(kind), random, taken);
    ASSERT_EQ(static_cast<int64_t>(names.size()), max_invented_names(kind));
    for (const auto& name : names) {
      EXPECT_TRUE(seen.insert(name).second) << name << " twice";
      EXPECT_NE(name, "Mara");
      EXPECT_TRUE(name[0] >= 'A' && name[0] <= 'Z') << name;
      EXPECT_TRUE(std::all_of(name.begin() + 1, name.end(), [](char c) {
        return c >= 'a' && c <= 'z';
      })) << name;
    }
  }
}

TEST(InventNames, RefusesMoreThanThereAre) {
  std::set<std::string> taken;
  RandomStream random(kFactsSeed);
  const auto too_many = max_invented_names(NameKind::kRiver) + 1;
  expect_contains(
      error_of(ErrorCode::kConfig,
               [&] { static_cast<void>(invent_names(NameKind::kRiver, too_many, random, taken)); }),
      std::to_string(too_many));
}

TEST(FactTemplates, NoStatementHasTheWordsOfTheQuestion) {
  const auto check = [](std::span<const Attribute> attributes) {
    for (const auto& attribute : attributes) {
      std::set<std::string_view> wordings;
      for (const auto statement : attribute.statements) {
        EXPECT_TRUE(wordings.insert(statement).second) << statement;
        const std::string text(statement);
        EXPECT_EQ(count_of(text, "{name}"), 1U) << text;
        EXPECT_EQ(count_of(text, "{value}"), 1U) << text;
        // The name has to be read before its value, or nothing is learned for the question.
        EXPECT_LT(text.find("{name}"), text.find("{value}")) << text;
        EXPECT_FALSE(contains(text, "?")) << text;
      }
      const std::string question(attribute.question);
      EXPECT_EQ(count_of(question, "{name}"), 1U);
      EXPECT_EQ(count_of(question, "{value}"), 0U);
      EXPECT_EQ(wordings.count(question), 0U);
    }
  };
  check(person_attributes());
  check(place_attributes());
}

TEST(Facts, TellsAndAsksInPlainWords) {
  const Facts facts({.num_people = 12, .num_places = 9}, kFactsSeed);
  RandomStream random(1);
  ASSERT_EQ(facts.all().size(), (12U + 9U) * 4U);
  for (const auto& fact : facts.all()) {
    const auto statement = facts.statement(fact, random);
    const auto question = facts.question(fact);
    EXPECT_FALSE(contains(statement + question, "{")) << statement << question;
    EXPECT_TRUE(statement.ends_with(".")) << statement;
    EXPECT_TRUE(contains(statement, " " + fact.value) && !contains(question, fact.value))
        << statement;
    EXPECT_TRUE(question.starts_with("Question: ") && question.ends_with("? Answer:")) << question;
    const auto& values = facts.values(fact.attribute);
    EXPECT_NE(std::find(values.begin(), values.end(), fact.value), values.end());
  }
}

TEST(Facts, SameSeedSameWorldOtherSeedOtherWorld) {
  const auto world = [](uint64_t seed) {
    const Facts facts({}, seed);
    std::string text;
    for (const auto& fact : facts.all()) {
      text += facts.question(fact) + fact.value;
    }
    return text;
  };
  EXPECT_EQ(world(1), world(1));
  EXPECT_NE(world(1), world(2));
}

TEST(Facts, NoValueIsMoreFrequentThanAnotherByMoreThanOne) {
  const Facts facts({.num_people = 50, .num_places = 20}, kFactsSeed);
  std::map<int64_t, std::map<std::string, int64_t>> counts;
  for (const auto& fact : facts.all()) {
    ++counts[fact.attribute][fact.value];
  }
  for (const auto& [attribute, of_value] : counts) {
    EXPECT_EQ(of_value.size(), 16U);
    EXPECT_EQ(of_value.size(), facts.values(attribute).size());
    for (const auto& [value, count] : of_value) {
      const int64_t fewest = attribute < 4 ? 50 / 16 : 20 / 16;
      EXPECT_TRUE(count == fewest || count == fewest + 1) << value << ": " << count;
    }
  }
}

TEST(Facts, EveryFactHasTheWordingsAskedForAndNoOthers) {
  for (const int64_t wordings : {int64_t{1}, int64_t{3}, kNumWordings}) {
    const Facts facts({.num_people = 8, .num_places = 8, .wordings_per_fact = wordings},
                      kFactsSeed);
    RandomStream random(2);
    std::set<std::string> first_words;
    for (const auto& fact : facts.all()) {
      std::set<std::string> told;
      for (int i = 0; i < 200; ++i) {
        told.insert(facts.statement(fact, random));
      }
      EXPECT_EQ(static_cast<int64_t>(told.size()), wordings);
    }
  }
}

TEST(FactWriter, TellsEveryFactOnceBeforeAnyTwice) {
  const Facts facts({.num_people = 8, .num_places = 8, .wordings_per_fact = 1}, kFactsSeed);
  FactWriter writer(facts, 3);
  RandomStream random(0);
  std::multiset<std::string> expected;
  size_t num_bytes = 0;
  for (const auto& fact : facts.all()) {
    expected.insert(facts.statement(fact, random));
    num_bytes += facts.statement(fact, random).size() + 1;
  }
  for (int pass = 0; pass < 4; ++pass) {  // portraits and mixed ones
    std::string text;
    while (text.size() < num_bytes) {
      text += writer.telling_document() + " ";
    }
    EXPECT_EQ(text.size(), num_bytes);
    for (const auto& statement : expected) {
      EXPECT_EQ(count_of(text, statement), 1U) << statement << " in pass " << pass;
    }
  }
}

TEST(FactWriter, AsksOnlyAboutAskedEntitiesAndAnswersRightly) {
  const Facts facts({.num_people = 16, .num_places = 8}, kFactsSeed);
  FactWriter writer(facts, 3);
  std::string text;
  for (int i = 0; i < 60; ++i) {
    text += writer.question_document();
  }
  size_t num_asked = 0;
  for (const auto& fact : facts.all()) {
    const auto key = key_of(facts, fact);
    EXPECT_EQ(contains(text, key), facts.is_asked(fact)) << key;
    if (facts.is_asked(fact)) {
      ++num_asked;
      EXPECT_EQ(count_of(text, key), count_of(text, key + " " + fact.value + "\n")) << key;
    }
  }
  EXPECT_EQ(num_asked, facts.all().size() / 2);
}

TEST(FactInstances, AreOnEntitiesThatTrainingNeverAsksAbout) {
  const Facts facts({.num_people = 16, .num_places = 8}, kFactsSeed);
  std::map<std::string, const Fact*> by_question;
  for (const auto& fact : facts.all()) {
    by_question[key_of(facts, fact)] = &fact;
  }
  const auto instances = fact_instances(facts, 1000, kFactsSeed);
  EXPECT_EQ(instances.size(), facts.all().size() / 2);
  std::set<std::string> ids;
  std::map<int64_t, int64_t> labels;
  for (const auto& instance : instances) {
    ASSERT_EQ(by_question.count(instance.context), 1U) << instance.context;
    const auto* fact = by_question[instance.context];
    EXPECT_FALSE(facts.is_asked(*fact));
    ASSERT_EQ(static_cast<int64_t>(instance.choices.size()), kBenchmarkChoices);
    EXPECT_EQ(instance.choices[static_cast<size_t>(instance.label)], fact->value);
    const std::set<std::string> different(instance.choices.begin(), instance.choices.end());
    EXPECT_EQ(different.size(), instance.choices.size());
    const auto& values = facts.values(fact->attribute);
    for (const auto& choice : instance.choices) {
      EXPECT_NE(std::find(values.begin(), values.end(), choice), values.end()) << choice;
    }
    EXPECT_TRUE(ids.insert(instance.id).second);
    ++labels[instance.label];
  }
  for (int64_t label = 0; label < kBenchmarkChoices; ++label) {
    EXPECT_NEAR(static_cast<double>(labels[label]), static_cast<double>(instances.size()) / 4, 1);
  }
}

TEST(FactInstances, WrongAnswersAreHeldByOtherEntities) {
  const Facts facts({.num_people = 8, .num_places = 8, .values_per_attribute = 24}, kFactsSeed);
  for (const auto& instance : fact_instances(facts, 1000, kFactsSeed)) {
    const auto& right = instance.choices[static_cast<size_t>(instance.label)];
    EXPECT_EQ(instance.steps, std::vector<int64_t>(right.size(), 1));
    for (const auto& choice : instance.choices) {
      EXPECT_TRUE(std::any_of(facts.all().begin(), facts.all().end(),
                              [&](const Fact& fact) {
                                return fact.value == choice &&
                                       facts.attribute_name(fact) == instance.kind;
                              }))
          << choice << " is nobody's " << instance.kind;
    }
  }
}

TEST(Facts, NamesTheOptionThatIsOutOfRange) {
  const auto error = [](const FactsOptions& options) {
    return error_of(ErrorCode::kConfig, [&] { const Facts facts(options, kFactsSeed); });
  };
  expect_contains(error({.num_people = 3}), "facts: \"people\" expects a whole number from 8 to ");
  expect_contains(error({.num_people = 3}), "got 3");
  expect_contains(error({.num_places = 1 << 20}), "got 1048576");
  expect_contains(error({.values_per_attribute = 25}), "from 4 to 24, got 25");
  expect_contains(error({.wordings_per_fact = 9}), "from 1 to 8, got 9");
  expect_contains(error({.asked_share = 1.0}),
                  "\"asked_share\" expects a number above 0 and below 1, got 1.0.");
  expect_contains(error({.question_share = 0.0}),
                  "\"question_share\" expects a number above 0 and below 1, got 0.0.");
}

}  // namespace
}  // namespace loopbank
