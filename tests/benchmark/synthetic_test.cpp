#include "loopbank/benchmark/synthetic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "loopbank/benchmark/biographies.h"
#include "loopbank/benchmark/modular.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

/// All but the world of facts, of which training tells what is asked (biographies_test.cpp).
std::vector<std::string> problem_tasks() {
  auto tasks = synthetic_tasks();
  EXPECT_EQ(std::erase(tasks, kBiographiesTask), 1U);
  EXPECT_EQ(tasks.size(), 4U);
  return tasks;
}

SyntheticOptions small_task(const std::string& task) {
  SyntheticOptions options;
  options.task = task;
  options.difficulty = "1-3";
  options.beyond = "4-5";
  options.length = 40;
  options.num_eval_instances = 300;
  options.training_bytes = 200'000;
  options.validation_bytes = 20'000;
  return options;
}

/// What is asked and answered in documents: {all before the answer, answer}. A document of p-hop is
/// one problem, of the others every line.
std::vector<std::pair<std::string, std::string>> problems_of(
    const std::string& task, const std::vector<std::string>& documents) {
  std::vector<std::pair<std::string, std::string>> problems;
  for (const auto& document : documents) {
    std::istringstream parts(document);
    for (std::string part; std::getline(parts, part, task == "p-hop" ? '\0' : '\n');) {
      const auto space = part.rfind(' ');
      problems.emplace_back(part.substr(0, space),
                            part.substr(space + 1, part.find_last_not_of('\n') - space));
    }
  }
  return problems;
}

/// The expression that a question of i-gsm asks for, from `A=B+2;B=1*3;A?`.
std::string expression_of(const std::string& question) {
  std::map<char, std::string> assigned;
  std::istringstream parts(question);
  std::string part;
  while (std::getline(parts, part, ';') && part.back() != '?') {
    assigned[part[0]] = part.substr(2);
  }
  std::function<std::string(char)> solve = [&](char name) {
    const auto found = assigned.find(name);
    return found == assigned.end() ? std::string{name}
                                   : key_of_operation(found->second[1], solve(found->second[0]),
                                                      solve(found->second[2]));
  };
  return solve(part[0]);
}

/// What two problems have in common that are one: the string of p-hop, the expression of i-gsm, else
/// the whole question, of additions in either order.
std::string sameness(const std::string& task, const std::string& context) {
  if (task == "p-hop") {
    std::string text;
    std::copy_if(context.begin(), context.end(), std::back_inserter(text),
                 [](char c) { return c >= 'a' && c <= 'z'; });
    return text;
  }
  if (task == "i-gsm") {
    return expression_of(context);
  }
  if (task == "addition") {
    const auto a = context.substr(0, context.find('+'));
    const auto b = context.substr(a.size() + 1, a.size());
    return std::min(a, b) + "+" + std::max(a, b);
  }
  return context;
}

/// Operations, digits or hops of a problem, from its text; i-gsm's would take solving it.
int64_t difficulty_of(const std::string& task, const std::string& context) {
  if (task == "p-hop") {
    return std::stoll(context);
  }
  if (task == "addition") {
    return static_cast<int64_t>(context.find('+'));
  }
  const auto operators =
      std::count_if(context.begin(), context.end(), [](char c) { return c == '+' || c == '*'; });
  return operators + std::count(context.begin(), context.end(), '-');
}

TEST(MakeSynthetic, SameOptionsSameTaskOtherSeedAnother) {
  for (const auto& task : problem_tasks()) {
    auto options = small_task(task);
    options.training_bytes = 5000;
    const auto first = make_synthetic(options);
    const auto second = make_synthetic(options);
    EXPECT_EQ(first.training_documents, second.training_documents);
    EXPECT_EQ(first.tasks[1].instances[7].context, second.tasks[1].instances[7].context);
    options.seed = 2;
    const auto other = make_synthetic(options);
    EXPECT_NE(first.training_documents, other.training_documents);
    EXPECT_NE(first.tasks[0].instances[7].context, other.tasks[0].instances[7].context);
  }
}

TEST(MakeSynthetic, TrainsOnNothingThatIsAskedWhateverTheSeed) {
  for (const auto& task : problem_tasks()) {
    auto options = small_task(task);
    const auto generated = make_synthetic(options);
    std::set<std::string> trained;
    for (const auto& [context, answer] : problems_of(task, generated.training_documents)) {
      trained.insert(sameness(task, context));
      EXPECT_LE(difficulty_of(task, context), task == "i-gsm" ? 3 + options.distractors : 3);
    }
    ASSERT_GT(trained.size(), 1000U) << task;
    options.seed = 2;
    options.training_bytes = 1000;
    for (const auto& asked : {generated, make_synthetic(options)}) {
      ASSERT_EQ(asked.tasks.size(), 2U);
      EXPECT_EQ(asked.tasks[1].name, task + "-beyond");
      for (const auto& questions : asked.tasks) {
        ASSERT_GT(questions.instances.size(), 250U) << questions.name;
        for (const auto& instance : questions.instances) {
          const bool is_beyond = questions.name != task;
          EXPECT_GE(instance.difficulty, is_beyond ? 4 : 1);
          EXPECT_LE(instance.difficulty, is_beyond ? 5 : 3);
          EXPECT_EQ(trained.count(sameness(task, instance.context)), 0U) << instance.context;
        }
      }
    }
    for (const auto& [context, answer] : problems_of(task, generated.validation_documents)) {
      EXPECT_EQ(trained.count(sameness(task, context)), 0U) << context;
    }
  }
}

TEST(MakeSynthetic, GivesDifficultiesEqualSharesAndEveryAnswerItsChance) {
  for (const auto& task : problem_tasks()) {
    const auto generated = make_synthetic(small_task(task));
    std::map<int64_t, int64_t> asked;
    for (const auto& instance : generated.tasks[0].instances) {
      ++asked[instance.difficulty];
      EXPECT_EQ(instance.steps.size(),
                instance.choices[static_cast<size_t>(instance.label)].size());
    }
    EXPECT_EQ(asked.size(), task == "p-hop" ? 3U : 2U) << task;  // tables are never held out
    EXPECT_LE(asked[2] - asked[3], 1);
    std::map<std::string, double> answers;
    const auto problems = problems_of(task, generated.training_documents);
    for (const auto& [context, answer] : problems) {
      answers[answer] += 1.0 / static_cast<double>(problems.size());
    }
    if (task == "addition") {
      continue;
    }
    const auto chance = 1.0 / static_cast<double>(answers.size());
    EXPECT_EQ(answers.size(), task == "p-hop" ? 4U : 7U);
    for (const auto& [answer, share] : answers) {
      EXPECT_GT(share, 0.7 * chance) << task << " " << answer;
      EXPECT_LT(share, 1.3 * chance) << task << " " << answer;
    }
  }
}

TEST(MakeSynthetic, AsksNothingBeyondThatTrainingHasUnderOtherNames) {
  auto options = small_task("i-gsm");
  options.modulus = 3;
  options.distractors = 0;
  options.beyond = "4";
  const auto generated = make_synthetic(options);
  std::set<std::string> trained;
  for (const auto& [context, answer] : problems_of(options.task, generated.training_documents)) {
    trained.insert(sameness(options.task, context));
  }
  ASSERT_EQ(generated.tasks[1].instances.size(), 300U);
  for (const auto& instance : generated.tasks[1].instances) {
    EXPECT_EQ(trained.count(sameness(options.task, instance.context)), 0U) << instance.context;
  }
}

TEST(GuessingOf, IsTheShareOfTheBestGuess) {
  auto options = small_task("p-hop");
  EXPECT_DOUBLE_EQ(guessing_of(options, "p-hop").value(), (1.0 / 3 + 0.25 + 0.25) / 3);
  EXPECT_DOUBLE_EQ(guessing_of(options, "p-hop-beyond").value(), 0.25);
  options.task = "mano";
  EXPECT_DOUBLE_EQ(guessing_of(options, "mano").value(), 1.0 / 7);
  options.task = "i-gsm";
  EXPECT_DOUBLE_EQ(guessing_of(options, "i-gsm-beyond").value(), 1.0 / 7);
  options.task = "addition";
  EXPECT_FALSE(guessing_of(options, "addition").has_value());
  options.task = kBiographiesTask;
  EXPECT_DOUBLE_EQ(guessing_of(options, kBiographiesTask).value(), 0.25);
}

TEST(MakeSynthetic, AsksEachDifficultyInDifferentProblems) {
  auto options = small_task("mano");
  options.difficulty = "2";
  options.modulus = 2;
  options.beyond.clear();
  const auto generated = make_synthetic(options);
  // 3 * 3 operators, 2 shapes, 8 triples of numbers at most, of which an eighth is held out.
  EXPECT_GT(generated.tasks[0].instances.size(), 3U);
  EXPECT_LT(generated.tasks[0].instances.size(), 40U);
}

TEST(MakeSynthetic, NamesWhatIsImpossible) {
  const auto error = [](auto change) {
    auto options = small_task("p-hop");
    change(options);
    return error_of(ErrorCode::kConfig, [&] { static_cast<void>(make_synthetic(options)); });
  };
  expect_contains(error([](auto& o) { o.task = "p-hops"; }), "Did you mean \"p-hop\"?");
  expect_contains(error([](auto& o) { o.symbols = 27; }), "from 3 to 26, got 27");
  expect_contains(error([](auto& o) {
                    o.difficulty = "30-40";
                    o.beyond.clear();
                  }),
                  "strings of 40 symbols that have");
  expect_contains(error([](auto& o) { o.beyond = "3-5"; }),
                  "\"beyond\" without the difficulties that are trained on, 1-3, got 3-5");
  expect_contains(error([](auto& o) { o.beyond = "5-3"; }), "rising difficulties");
  expect_contains(error([](auto& o) { o.difficulty = "few"; }), "such as 1-4 or 3, got \"few\"");
  expect_contains(error([](auto& o) {
                    o.task = "mano";
                    o.difficulty = "1";
                  }),
                  "held-out problems of difficulties 1 to 1");
  expect_contains(error([](auto& o) {
                    o.task = "i-gsm";
                    o.beyond = "25";
                  }),
                  "with 2 distractors, got 25");
  expect_contains(error([](auto& o) {
                    o.task = "addition";
                    o.beyond = "1000";
                  }),
                  "got \"1000\"");
}

}  // namespace
}  // namespace loopbank
