#include "loopbank/benchmark/biographies.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "../support/test_directory.h"
#include "loopbank/benchmark/synthetic.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

SyntheticOptions people(int64_t number, int64_t tellings = 2) {
  SyntheticOptions options;
  options.task = kBiographiesTask;
  options.people = number;
  options.tellings = tellings;
  options.num_eval_instances = 100;
  options.validation_bytes = 5'000;
  return options;
}

/// The first two words, of every document and sentence.
std::string name_in(const std::string& text) {
  return text.substr(0, text.find(' ', text.find(' ') + 1));
}

std::string right_answer(const BenchmarkInstance& question) {
  return question.choices.at(static_cast<size_t>(question.label));
}

TEST(Biographies, PriorBitsCountTheValuesOfEachAttribute) {
  const auto generated = make_synthetic(people(40));
  ASSERT_EQ(generated.tasks.size(), 1U);
  EXPECT_EQ(generated.tasks[0].name, "biographies");
  std::map<std::string, double> bits;
  for (const auto& question : generated.tasks[0].instances) {
    bits[question.kind] = question.prior_bits;
  }
  EXPECT_EQ(bits, (std::map<std::string, double>{{"birth", std::log2(28.0 * 12 * 64)},
                                                 {"city", 6},
                                                 {"university", 6},
                                                 {"field", 5},
                                                 {"company", 6}}));
  double sum = 0.0;
  for (const auto& [kind, count] : bits) {
    sum += count;
  }
  EXPECT_DOUBLE_EQ(bits_of_person(), sum);
  EXPECT_EQ(num_facts(people(40)), 200);
}

TEST(Biographies, EverybodyIsToldOnceBeforeAnyIsToldAgain) {
  const auto documents = make_synthetic(people(50, 3)).training_documents;
  ASSERT_EQ(documents.size(), 150U);
  std::set<std::string> texts;
  for (size_t round = 0; round < 3; ++round) {
    std::set<std::string> names;
    for (size_t i = 0; i < 50; ++i) {
      names.insert(name_in(documents[50 * round + i]));
      texts.insert(documents[50 * round + i]);
    }
    EXPECT_EQ(names.size(), 50U);
  }
  EXPECT_EQ(texts.size(), 150U);  // in other words each time
}

TEST(Biographies, EveryTellingHasTheFactsThatAreAskedAndNoOthers) {
  const auto generated = make_synthetic(people(30));
  std::map<std::string, std::vector<std::string>> of_person;
  for (const auto* documents : {&generated.training_documents, &generated.validation_documents}) {
    for (const auto& document : *documents) {
      of_person[name_in(document)].push_back(document);
    }
  }
  EXPECT_EQ(of_person.size(), 30U);
  ASSERT_EQ(generated.tasks[0].instances.size(), 100U);  // all five facts of twenty people
  for (const auto& question : generated.tasks[0].instances) {
    ASSERT_EQ(question.choices.size(), 4U);
    EXPECT_EQ(std::set(question.choices.begin(), question.choices.end()).size(), 4U);
    for (const auto& telling : of_person.at(name_in(question.context))) {
      for (const auto& choice : question.choices) {
        const bool is_told = telling.find(" " + choice) != std::string::npos;
        EXPECT_EQ(is_told, choice == right_answer(question)) << choice << " in " << telling;
      }
    }
  }
}

TEST(Biographies, AQuestionIsATellingCutBeforeTheValue) {
  // With very many tellings each wording and order comes up, so that a question's last sentence is one
  // of the training text.
  const auto generated = make_synthetic(people(16, 200));
  std::string text;
  for (const auto& document : generated.training_documents) {
    text += document + "\n";
  }
  std::set<size_t> sentences_before;
  for (const auto& question : generated.tasks[0].instances) {
    const auto last = question.context.rfind(". ");
    const auto start = last == std::string::npos ? 0 : last + 2;
    const auto sentence = question.context.substr(start) + " " + right_answer(question);
    EXPECT_NE(text.find(sentence), std::string::npos) << sentence;
    EXPECT_EQ(question.context.find(right_answer(question)), std::string::npos);
    sentences_before.insert(
        static_cast<size_t>(std::count(question.context.begin(), question.context.end(), '.')));
  }
  EXPECT_EQ(sentences_before, (std::set<size_t>{0, 1, 2, 3, 4}));
}

TEST(Biographies, ValuesAreDrawnUniformly) {
  constexpr int64_t kPeople = 12'800;
  auto options = people(kPeople, 1);
  options.num_eval_instances = kPeople * kFactsOfPerson;
  std::map<std::string, std::map<std::string, int64_t>> counts;
  const auto generated = make_synthetic(options);
  for (const auto& question : generated.tasks[0].instances) {
    auto value = right_answer(question);
    value = question.kind == "birth" ? value.substr(value.rfind(' ')) : value;  // the year
    ++counts[question.kind][value];
  }
  for (const auto& [kind, values] : counts) {
    const double expected = static_cast<double>(kPeople) / static_cast<double>(values.size());
    double chi_square = 0.0;
    for (const auto& [value, count] : values) {
      const double off = static_cast<double>(count) - expected;
      chi_square += off * off / expected;
    }
    const auto freedom = static_cast<double>(values.size() - 1);
    EXPECT_EQ(values.size(), kind == "field" ? 32U : 64U) << kind;
    EXPECT_NEAR(chi_square, freedom, 5 * std::sqrt(2 * freedom)) << kind;
  }
}

TEST(Biographies, TheSameSeedTellsTheSameAndAnotherSeedOtherThings) {
  const auto first = make_synthetic(people(40));
  const auto again = make_synthetic(people(40));
  EXPECT_EQ(first.training_documents, again.training_documents);
  EXPECT_EQ(first.validation_documents, again.validation_documents);
  EXPECT_EQ(first.description, again.description);
  EXPECT_EQ(first.tasks[0].instances[7].context, again.tasks[0].instances[7].context);
  auto options = people(40);
  options.seed = 2;
  EXPECT_NE(first.training_documents, make_synthetic(options).training_documents);
  const auto description = nlohmann::json::parse(first.description);
  EXPECT_EQ(description.at("facts"), 200);
  EXPECT_EQ(description.at("options").at("people"), 40);
}

TEST(Biographies, AsManyPeopleAsCanBeAskedForHaveDifferentNames) {
  std::set<std::string> names;
  const auto generated = make_synthetic(people(kMostPeople, 1));
  for (const auto& document : generated.training_documents) {
    names.insert(name_in(document));
  }
  EXPECT_EQ(std::ssize(names), kMostPeople);
}

TEST(Biographies, WhatIsNoWorldIsRefused) {
  auto several = people(40);
  several.people = {40, 80};
  expect_contains(
      error_of(ErrorCode::kConfig, [&] { (void)make_synthetic(several); }),
      "synthetic: expected one number of \"people\" in a world, got 40, 80. A study makes a part");
  auto beyond = people(40);
  beyond.beyond = "5-8";
  expect_contains(error_of(ErrorCode::kConfig, [&] { (void)make_synthetic(beyond); }),
                  "synthetic: expected no \"beyond\" of biographies");
  EXPECT_EQ(world_name(people(40)), "biographies-40");
}

}  // namespace
}  // namespace loopbank
