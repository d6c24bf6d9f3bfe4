#include "loopbank/benchmark/reasoning.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

constexpr uint64_t kReasoningSeed = 5;
constexpr std::array kKinds = {ReasoningKind::kAddition, ReasoningKind::kSum, ReasoningKind::kChain,
                               ReasoningKind::kComparison, ReasoningKind::kProduct};

/// The part of a problem between its frame.
std::string question_of(const std::string& text) {
  const std::string front = "Question: ";
  const std::string back = " Answer:";
  EXPECT_TRUE(text.starts_with(front) && text.ends_with(back)) << text;
  return text.substr(front.size(), text.size() - front.size() - back.size());
}

/// Reads `3 + 5 - 2` or `3 * 5` from left to right.
int64_t compute(std::istringstream words, const std::map<std::string, int64_t>& variables) {
  const auto value = [&](std::string word) {
    word.erase(
        std::remove_if(word.begin(), word.end(), [](char c) { return c == '?' || c == '.'; }),
        word.end());
    const auto found = variables.find(word);
    return found == variables.end() ? std::stoll(word) : found->second;
  };
  std::string word;
  words >> word;
  auto result = value(word);
  std::string sign;
  while (words >> sign >> word) {
    const auto operand = value(word);
    result = sign == "+" ? result + operand : sign == "-" ? result - operand : result * operand;
  }
  return result;
}

/// The answer from the text alone, by rules of this test's own.
int64_t solve(const std::string& text) {
  const auto question = question_of(text);
  std::map<std::string, int64_t> variables;
  const std::string larger = "Which is larger, ";
  if (question.starts_with(larger)) {
    const auto middle = question.find(" or ");
    return std::max(std::stoll(question.substr(larger.size())),
                    std::stoll(question.substr(middle + 4)));
  }
  size_t at = 0;
  for (auto dot = question.find('.'); dot != std::string::npos; dot = question.find('.', at)) {
    const auto sentence = question.substr(at, dot - at);
    variables[sentence.substr(0, 1)] = compute(std::istringstream(sentence.substr(4)), variables);
    at = dot + 2;
  }
  const std::string what = "What is ";
  EXPECT_EQ(question.substr(at, what.size()), what) << question;
  return compute(std::istringstream(question.substr(at + what.size())), variables);
}

/// Canonical form from the text alone: problems that differ in the order of operands alone are one.
std::string signature(const std::string& text) {
  auto question = question_of(text);
  if (question[0] == 'a') {
    return question;  // in a chain the order matters
  }
  std::istringstream words(question);
  std::vector<std::string> parts;
  for (std::string word; words >> word;) {
    word.erase(
        std::remove_if(word.begin(), word.end(), [](char c) { return c == '?' || c == ','; }),
        word.end());
    parts.push_back(word);
  }
  std::sort(parts.begin(), parts.end());
  std::string joined;
  for (const auto& part : parts) {
    joined += part + " ";
  }
  return joined;
}

TEST(DrawProblem, AnswersAreWhatTheTextComesTo) {
  RandomStream random(kReasoningSeed);
  for (const auto kind : kKinds) {
    for (int64_t k = 1; k <= kMaxDifficulty; ++k) {
      for (int i = 0; i < 200; ++i) {
        const auto problem = draw_problem(kind, k, random);
        ASSERT_EQ(problem.answer, solve(problem.text)) << problem.text;
        EXPECT_GE(problem.answer, 0) << problem.text;
        EXPECT_EQ(problem.kind, kind);
        EXPECT_EQ(problem.difficulty, k);
      }
    }
  }
}

TEST(DrawProblem, DifficultyCountsDigitsAndSteps) {
  RandomStream random(kReasoningSeed);
  const auto count = [](const std::string& text, const std::string& set) {
    return std::count_if(text.begin(), text.end(),
                         [&](char c) { return set.find(c) != std::string::npos; });
  };
  for (int64_t k = 1; k <= kMaxDifficulty; ++k) {
    const auto draw = [&](ReasoningKind kind) { return draw_problem(kind, k, random).text; };
    EXPECT_EQ(count(draw(ReasoningKind::kAddition), "0123456789"), 2 * k);
    EXPECT_EQ(count(draw(ReasoningKind::kSum), "+"), k);
    EXPECT_EQ(count(draw(ReasoningKind::kChain), "+-"), k);
    EXPECT_EQ(count(draw(ReasoningKind::kComparison), "0123456789"), 2 * k);
    EXPECT_EQ(count(draw(ReasoningKind::kProduct), "0123456789"), k + 1);
  }
}

/// Digits of a + b (or of a * b) that come out otherwise where the carry from below is left out, least
/// first.
std::vector<bool> reached_by_carry(int64_t a, int64_t b, bool is_product) {
  std::vector<bool> reached;
  int64_t below = 1;
  const auto value = [&](int64_t x, int64_t y) { return is_product ? x * y : x + y; };
  for (auto rest = value(a, b); rest > 0; rest /= 10, below *= 10) {
    const auto lower = is_product ? value(a % below, b) : value(a % below, b % below);
    reached.push_back(lower >= below);
  }
  return reached;
}

TEST(DrawProblem, CountsTheStepsBehindEachDigitOfTheAnswer) {
  RandomStream random(kReasoningSeed);
  for (const auto kind : kKinds) {
    for (int64_t k = 1; k <= 5; ++k) {
      for (int i = 0; i < 100; ++i) {
        const auto problem = draw_problem(kind, k, random);
        const auto& steps = problem.steps;
        ASSERT_EQ(steps.size(), std::to_string(problem.answer).size()) << problem.text;
        if (kind == ReasoningKind::kSum || kind == ReasoningKind::kChain) {
          EXPECT_EQ(steps, std::vector<int64_t>(steps.size(), k));
          continue;
        }
        const auto text = question_of(problem.text);
        if (kind == ReasoningKind::kComparison) {
          // As many as it takes to tell, for every digit from the first that differs.
          const auto last = steps.back();
          for (size_t at = 0; at < steps.size(); ++at) {
            EXPECT_EQ(steps[at], static_cast<int64_t>(at) < last - 1 ? 1 : last) << text;
          }
          const auto other = problem.mistakes[0];
          const auto place = static_cast<size_t>(last) - 1;
          EXPECT_NE(std::to_string(other)[place], std::to_string(problem.answer)[place]) << text;
          EXPECT_EQ(std::to_string(other).substr(0, place),
                    std::to_string(problem.answer).substr(0, place));
          continue;
        }
        const auto sign = text.find_first_of("+*");
        auto a = std::stoll(text.substr(8));
        auto b = std::stoll(text.substr(sign + 1));
        if (kind == ReasoningKind::kProduct && a < b) {
          std::swap(a, b);
        }
        const auto reached = reached_by_carry(a, b, kind == ReasoningKind::kProduct);
        ASSERT_EQ(reached.size(), steps.size()) << text;
        for (size_t place = 0; place < reached.size(); ++place) {
          EXPECT_EQ(steps[steps.size() - 1 - place] > 1, reached[place]) << text << " " << place;
        }
      }
    }
  }
}

TEST(DrawProblem, OrderOfOperandsDoesNotMakeAnotherProblem) {
  RandomStream random(kReasoningSeed);
  std::map<std::string, std::string> canonical;
  for (const auto kind : kKinds) {
    for (int i = 0; i < 4000; ++i) {
      const auto problem = draw_problem(kind, 1 + i % 2, random);
      const auto [at, is_new] = canonical.emplace(signature(problem.text), problem.canonical);
      EXPECT_EQ(at->second, problem.canonical) << problem.text;
    }
  }
  std::set<std::string> different;
  for (const auto& [text, form] : canonical) {
    EXPECT_TRUE(different.insert(form).second) << form << " for two problems, one is " << text;
  }
}

TEST(ReasoningDocument, TrainingTextHoldsNoEvaluatedProblem) {
  const ReasoningOptions options;
  std::set<std::string> evaluated;
  for (const uint64_t seed :
       {kReasoningSeed, kReasoningSeed + 1}) {  // the partition holds across seeds
    for (const auto& instance : reasoning_instances(options, 400, seed)) {
      evaluated.insert(signature(instance.context));
    }
  }
  ASSERT_GT(evaluated.size(), 200U);
  RandomStream random(kReasoningSeed);
  int64_t num_problems = 0;
  for (int i = 0; i < 3000; ++i) {
    std::istringstream lines(reasoning_document(options, false, random));
    for (std::string line; std::getline(lines, line); ++num_problems) {
      const auto text = line.substr(0, line.find(" Answer:") + 8);
      ASSERT_EQ(evaluated.count(signature(text)), 0U) << line;
      ASSERT_EQ(line, text + " " + std::to_string(solve(text)));
    }
  }
  EXPECT_EQ(num_problems, 18000);
}

TEST(ReasoningDocument, ValidationTextHoldsHeldOutProblemsAlone) {
  const ReasoningOptions options;
  RandomStream random(kReasoningSeed);
  std::set<std::string> trained;
  std::set<std::string> held_out;
  const auto collect = [&](bool side, int count, std::set<std::string>& into) {
    for (int i = 0; i < count; ++i) {
      std::istringstream lines(reasoning_document(options, side, random));
      for (std::string line; std::getline(lines, line);) {
        into.insert(signature(line.substr(0, line.find(" Answer:") + 8)));
      }
    }
  };
  collect(false, 2500, trained);
  collect(true, 100, held_out);  // thirty times the time: most problems that are drawn are not
  ASSERT_GT(held_out.size(), 400U);
  for (const auto& problem : held_out) {
    EXPECT_EQ(trained.count(problem), 0U) << problem;
  }
}

TEST(IsHeldOut, TakesItsShareAndNoTableProblem) {
  RandomStream random(kReasoningSeed);
  int64_t num_held_out = 0;
  constexpr int64_t kDraws = 20000;
  for (int64_t i = 0; i < kDraws; ++i) {
    num_held_out += is_held_out(draw_problem(ReasoningKind::kAddition, 4, random), 0.125) ? 1 : 0;
    EXPECT_FALSE(is_held_out(draw_problem(ReasoningKind::kProduct, 1, random), 0.125));
  }
  EXPECT_NEAR(static_cast<double>(num_held_out) / kDraws, 0.125, 0.01);
}

TEST(ReasoningInstances, HaveFourDifferentAnswersOfEqualLengthAndBalancedLabels) {
  const ReasoningOptions options;
  const auto instances = reasoning_instances(options, 200, kReasoningSeed);
  ASSERT_EQ(instances.size(), 200U);
  std::set<std::string> contexts;
  std::set<std::string> ids;
  std::map<std::string, std::map<int64_t, int64_t>> labels;
  for (const auto& instance : instances) {
    EXPECT_TRUE(contexts.insert(signature(instance.context)).second) << instance.context;
    EXPECT_TRUE(ids.insert(instance.id).second) << instance.id;
    ASSERT_EQ(static_cast<int64_t>(instance.choices.size()), kBenchmarkChoices);
    const auto& correct = instance.choices[static_cast<size_t>(instance.label)];
    EXPECT_EQ(correct, std::to_string(solve(instance.context)));
    EXPECT_EQ(instance.steps.size(), correct.size());
    const std::set<std::string> different(instance.choices.begin(), instance.choices.end());
    EXPECT_EQ(different.size(), instance.choices.size()) << instance.context;
    for (const auto& choice : instance.choices) {
      EXPECT_EQ(choice.size(), correct.size()) << instance.context;
      EXPECT_EQ(std::to_string(std::stoll(choice)), choice);
    }
    ++labels[instance.kind][instance.label];
  }
  EXPECT_EQ(labels.size(), kKinds.size());
  for (const auto& [kind, counts] : labels) {
    for (int64_t label = 0; label < kBenchmarkChoices; ++label) {
      EXPECT_EQ(counts.at(label), 10) << kind;
    }
  }
}

TEST(ReasoningInstances, GivesWhatThereIsWhereTheProblemsRunOut) {
  const ReasoningOptions options{.kinds = {{ReasoningKind::kProduct, 2, 2}}};
  const auto instances = reasoning_instances(options, 100'000, kReasoningSeed);
  EXPECT_GT(instances.size(), 40U);  // 90 numbers times 8 digits, an eighth of them held out
  EXPECT_LT(instances.size(), 140U);
  std::set<std::string> contexts;
  for (const auto& instance : instances) {
    EXPECT_TRUE(contexts.insert(signature(instance.context)).second);
  }
}

TEST(ReasoningOptions, NamesWhatIsOutOfRange) {
  const auto error = [](const ReasoningOptions& options) {
    return error_of(ErrorCode::kConfig, [&] { check(options); });
  };
  expect_contains(error({.kinds = {}}), "at least one kind");
  expect_contains(error({.kinds = {{ReasoningKind::kSum, 3, 2}}}), "sum from 1 to 12, got 3 to 2");
  expect_contains(error({.kinds = {{ReasoningKind::kSum, 0, 2}}}), "got 0 to 2");
  expect_contains(error({.held_out_share = 0.0}), "from 0.01 to 0.5, got 0");
  expect_contains(error_of(ErrorCode::kConfig, [] { static_cast<void>(reasoning_kind("aditon")); }),
                  "Did you mean \"addition\"?");
}

TEST(ReasoningDocument, RefusesOptionsThatHoldNothingOut) {
  const ReasoningOptions options{.kinds = {{ReasoningKind::kProduct, 1, 1}}};
  RandomStream random(kReasoningSeed);
  expect_contains(error_of(ErrorCode::kConfig,
                           [&] { static_cast<void>(reasoning_document(options, true, random)); }),
                  "held-out problems");
}

}  // namespace
}  // namespace loopbank
