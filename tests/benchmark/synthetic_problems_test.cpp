// The problems of the synthetic tasks, solved by rules of this test's own.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "loopbank/benchmark/addition.h"
#include "loopbank/benchmark/carries.h"
#include "loopbank/benchmark/graph.h"
#include "loopbank/benchmark/hops.h"
#include "loopbank/benchmark/mano.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

constexpr uint64_t kProblemSeed = 11;

int64_t value_of_digit(char digit) {
  return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

int64_t compute(char name, int64_t a, int64_t b, int64_t modulus) {
  switch (name) {
    case '+':
      return (a + b) % modulus;
    case '-':
      return (a - b + modulus) % modulus;
    default:
      return a * b % modulus;
  }
}

/// One hop from a place by the definition: behind the last earlier symbol that is equal; -1: none.
int64_t hop_from(const std::string& text, int64_t place) {
  for (auto before = place - 1; before >= 0; --before) {
    if (text[static_cast<size_t>(before)] == text[static_cast<size_t>(place)]) {
      return before + 1;
    }
  }
  return -1;
}

TEST(DrawHops, AnswersAreThoseOfTheDefinitionAtEveryPlace) {
  RandomStream random(kProblemSeed);
  for (const int64_t symbols : {3, 4, 26}) {
    for (int64_t p = 1; p <= 3; ++p) {
      for (int i = 0; i < 50; ++i) {
        const auto example = draw_hops(p, {.symbols = symbols, .length = 120}, random);
        std::istringstream words(example.statement + example.question + " " + example.answer);
        std::string first;
        std::string text;
        std::string answers;
        words >> first;
        EXPECT_EQ(first, std::to_string(p));
        for (std::string symbol, answer; words >> symbol >> answer;) {
          text += symbol;
          answers += answer;
        }
        ASSERT_EQ(text.size(), 120U);
        for (int64_t end = 0; end < std::ssize(text); ++end) {
          auto place = end;
          for (int64_t hop = 0; hop < p && place >= 0; ++hop) {
            const auto next = hop_from(text, place);
            ASSERT_LT(next, place) << text;  // each hop moves
            place = next;
          }
          const auto expected = place < 0 ? '-' : std::toupper(text[static_cast<size_t>(place)]);
          ASSERT_EQ(answers[static_cast<size_t>(end)], expected) << text << " at " << end;
        }
        EXPECT_NE(example.answer, "-");
        EXPECT_EQ(example.key, text);
        EXPECT_EQ(example.difficulty, p);
        EXPECT_EQ(example.steps, std::vector{p});
        EXPECT_EQ(std::ssize(example.choices), symbols);
      }
    }
  }
}

TEST(DrawHops, AnswersAreEquallyOftenEachSymbolGivenTheLastTwo) {
  RandomStream random(kProblemSeed);
  constexpr int kDrawn = 3000;
  for (const int64_t symbols : {3, 4}) {
    for (int64_t p = 1; p <= 4; ++p) {
      std::map<char, double> by_place;  // share of answers that are the symbol at a place
      for (int i = 0; i < kDrawn; ++i) {
        const auto example = draw_hops(p, {.symbols = symbols, .length = 20}, random);
        const auto answer = static_cast<char>(std::tolower(example.answer[0]));
        by_place['l'] += answer == example.key.back() ? 1.0 / kDrawn : 0.0;
        by_place['b'] += answer == example.key[18] ? 1.0 / kDrawn : 0.0;
      }
      const double each = 1.0 / static_cast<double>(p == 1 ? symbols - 1 : symbols);
      EXPECT_NEAR(by_place['l'], p == 1 ? 0.0 : each, 0.03) << symbols << " symbols, p " << p;
      EXPECT_NEAR(by_place['b'], each, 0.03) << symbols << " symbols, p " << p;
    }
  }
}

TEST(DrawHops, TakesStringsAsTheyComeWhereAnAnswerIsImpossible) {
  RandomStream random(kProblemSeed);
  for (int i = 0; i < 20; ++i) {  // a string of 4 with two hops is abab
    const auto example = draw_hops(2, {.symbols = 3, .length = 4}, random);
    EXPECT_EQ(example.key.substr(0, 2), example.key.substr(2));
  }
}

TEST(DrawHops, RefusesMoreHopsThanAStringHas) {
  RandomStream random(kProblemSeed);
  const auto error = error_of(ErrorCode::kConfig, [&] {
    static_cast<void>(draw_hops(9, {.symbols = 4, .length = 8}, random));
  });
  expect_contains(error, "strings of 8 symbols that have 9 hops, found none");
}

TEST(DrawMano, AnswersAreThoseOfAStackMachine) {
  RandomStream random(kProblemSeed);
  for (const int64_t modulus : {2, 7, 23, 36}) {
    for (int64_t k = 1; k <= 10; ++k) {
      for (int i = 0; i < 50; ++i) {
        const auto example = draw_mano(k, modulus, random);
        ASSERT_EQ(example.question.back(), '=');
        // From right to left: operands are on the stack when their operator comes.
        std::vector<std::pair<int64_t, int64_t>> stack;  // value and depth
        int64_t operators = 0;
        for (auto at = example.question.rbegin() + 1; at != example.question.rend(); ++at) {
          if (std::string("+-*").find(*at) == std::string::npos) {
            ASSERT_LT(value_of_digit(*at), modulus);
            stack.emplace_back(value_of_digit(*at), 0);
            continue;
          }
          ++operators;
          ASSERT_GE(stack.size(), 2U);
          const auto [a, depth_a] = stack.back();
          stack.pop_back();
          const auto [b, depth_b] = stack.back();
          stack.back() = {compute(*at, a, b, modulus), std::max(depth_a, depth_b) + 1};
        }
        ASSERT_EQ(stack.size(), 1U) << example.question;
        EXPECT_EQ(value_of_digit(example.answer[0]), stack[0].first) << example.question;
        EXPECT_EQ(example.steps, std::vector{stack[0].second}) << example.question;
        EXPECT_EQ(operators, k);
        EXPECT_EQ(std::ssize(example.choices), modulus);
      }
    }
  }
}

TEST(DrawMano, EachFirstOperatorHasEachValueEquallyOften) {
  RandomStream random(kProblemSeed);
  constexpr int kDrawn = 6000;
  for (int64_t k = 1; k <= 3; ++k) {
    std::map<std::string, double> shares;
    for (int i = 0; i < kDrawn; ++i) {
      const auto example = draw_mano(k, 3, random);
      shares[example.question.substr(0, 1) + example.answer] += 1.0 / kDrawn;
    }
    ASSERT_EQ(shares.size(), 9U);
    for (const auto& [what, share] : shares) {
      EXPECT_NEAR(share, 1.0 / 9, 0.02) << k << " operators, " << what;
    }
  }
}

TEST(DrawMano, OrderOfOperandsDoesNotMakeAnotherProblem) {
  RandomStream random(kProblemSeed);
  std::map<std::string, std::string> keys;
  for (int i = 0; i < 2000; ++i) {
    const auto example = draw_mano(1, 5, random);
    keys[example.question] = example.key;
  }
  ASSERT_EQ(keys.size(), 75U);
  EXPECT_EQ(keys["+13="], keys["+31="]);
  EXPECT_EQ(keys["*13="], keys["*31="]);
  EXPECT_NE(keys["-13="], keys["-31="]);
  EXPECT_NE(keys["+13="], keys["*13="]);
}

/// The assignments of a statement such as `A=B+2;B=1*3;`.
std::map<char, std::string> assignments_of(const std::string& statement) {
  std::map<char, std::string> assignments;
  std::istringstream parts(statement);
  for (std::string part; std::getline(parts, part, ';');) {
    EXPECT_EQ(part.size(), 5U) << statement;
    EXPECT_TRUE(assignments.emplace(part[0], part.substr(2)).second) << statement;
  }
  return assignments;
}

TEST(DrawGraph, AnswersAreThoseOfRecursionAndTakeKOperations) {
  RandomStream random(kProblemSeed);
  const GraphOptions options{.modulus = 11, .distractors = 3};
  int64_t shared = 0;
  for (int64_t k = 1; k <= 12; ++k) {
    for (int i = 0; i < 100; ++i) {
      const auto example = draw_graph(k, options, random);
      const auto assignments = assignments_of(example.statement);
      ASSERT_EQ(std::ssize(assignments), k + options.distractors);
      std::set<char> needed;
      int64_t visits = 0;
      std::function<std::pair<int64_t, int64_t>(char)> solve = [&](char name) {
        if (assignments.count(name) == 0) {
          return std::pair(value_of_digit(name), int64_t{0});
        }
        needed.insert(name);
        ++visits;
        const auto& text = assignments.at(name);
        const auto [a, depth_a] = solve(text[0]);
        const auto [b, depth_b] = solve(text[2]);
        return std::pair(compute(text[1], a, b, options.modulus), std::max(depth_a, depth_b) + 1);
      };
      const auto [value, depth] = solve(example.question[0]);
      EXPECT_EQ(example.question.substr(1), "?");
      EXPECT_EQ(value_of_digit(example.answer[0]), value) << example.statement;
      EXPECT_EQ(example.steps, std::vector{depth}) << example.statement;
      EXPECT_EQ(std::ssize(needed), k) << example.statement;
      shared += visits > k ? 1 : 0;
    }
  }
  EXPECT_GT(shared, 100);  // graphs, not trees alone
}

TEST(DrawGraph, EachAnswerIsEquallyLikely) {
  RandomStream random(kProblemSeed);
  constexpr int kDrawn = 4000;
  for (const int64_t modulus : {2, 3}) {
    for (int64_t k = 1; k <= 4; ++k) {
      std::map<std::string, double> shares;
      for (int i = 0; i < kDrawn; ++i) {
        shares[draw_graph(k, {.modulus = modulus, .distractors = 1}, random).answer] +=
            1.0 / kDrawn;
      }
      ASSERT_EQ(std::ssize(shares), modulus);
      for (const auto& [answer, share] : shares) {
        EXPECT_NEAR(share, 1.0 / static_cast<double>(modulus), 0.03) << k << ": " << answer;
      }
    }
  }
}

TEST(DrawGraph, RefusesMoreVariablesThanLetters) {
  RandomStream random(kProblemSeed);
  const auto error = error_of(ErrorCode::kConfig, [&] {
    static_cast<void>(draw_graph(24, {.modulus = 7, .distractors = 3}, random));
  });
  expect_contains(error, "from 1 to 23 with 3 distractors, got 24");
}

TEST(DrawAddition, AnswersAreSumsInBothOrdersOfDigits) {
  RandomStream random(kProblemSeed);
  for (const bool reversed : {false, true}) {
    for (int64_t k = 1; k <= 17; ++k) {
      for (int i = 0; i < 50; ++i) {
        const auto example = draw_addition(k, reversed, random);
        const auto plus = example.question.find('+');
        std::vector<std::string> numbers = {example.question.substr(0, plus),
                                            example.question.substr(plus + 1, plus),
                                            example.answer};
        EXPECT_EQ(std::ssize(numbers[0]), k);
        EXPECT_EQ(std::ssize(example.question), 2 * k + 2);
        for (auto& number : numbers) {
          if (reversed) {
            std::reverse(number.begin(), number.end());
          }
          EXPECT_EQ(std::to_string(std::stoll(number)), number);
        }
        EXPECT_EQ(std::stoll(numbers[0]) + std::stoll(numbers[1]), std::stoll(numbers[2]));
        EXPECT_EQ(example.steps.size(), example.answer.size());
        EXPECT_EQ(example.steps[reversed ? 0 : example.steps.size() - 1], 1);
      }
    }
  }
}

TEST(CarrySteps, CountThePlacesThatACarryComesThrough) {
  using Steps = std::vector<int64_t>;
  EXPECT_EQ(carry_steps({3, 4}), (Steps{1, 1}));            // 43
  EXPECT_EQ(carry_steps({12, 10}), (Steps{1, 2, 2}));       // 95 + 17 = 112
  EXPECT_EQ(carry_steps({10, 9, 9}), (Steps{1, 2, 3, 4}));  // 999 + 1 = 1000
  EXPECT_EQ(carry_steps({10, 9, 0}), (Steps{1, 2, 3}));     // 99 + 1 = 100
  EXPECT_EQ(carry_steps({9, 9}), (Steps{1, 1}));            // 99: no carry comes
  EXPECT_EQ(carry_steps({0}), (Steps{1}));                  // 0
  EXPECT_EQ(carry_steps({63, 63}), (Steps{1, 2, 2}));       // 99 * 7 = 693: 63 carries 6 alone
  EXPECT_EQ(carry_steps({56, 35}), (Steps{1, 2, 3}));       // 58 * 7 = 406: 35 carries 4 with the 5
}

}  // namespace
}  // namespace loopbank
