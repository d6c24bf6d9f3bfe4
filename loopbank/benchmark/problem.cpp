#include "loopbank/benchmark/problem.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "loopbank/benchmark/carries.h"
#include "loopbank/support/error.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

using Numbers = std::vector<int64_t>;

constexpr std::array<std::pair<ReasoningKind, std::string_view>, 5> kNames = {
    {{ReasoningKind::kAddition, "addition"},
     {ReasoningKind::kSum, "sum"},
     {ReasoningKind::kChain, "chain"},
     {ReasoningKind::kComparison, "comparison"},
     {ReasoningKind::kProduct, "product"}}};

/// The largest value a variable of a chain takes.
constexpr int64_t kMaxChainValue = 20;

std::string ask(std::string_view question) {
  return fmt::format("Question: {} Answer:", question);
}

int64_t power_of_ten(int64_t exponent) {
  int64_t power = 1;
  for (int64_t i = 0; i < exponent; ++i) {
    power *= 10;
  }
  return power;
}

/// A number of exactly `digits` digits, at least 1.
int64_t draw_number(int64_t digits, RandomStream& random) {
  return random.between(power_of_ten(digits - 1), power_of_ten(digits) - 1);
}

Numbers sorted(Numbers numbers) {
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

/// Digit by digit, each carry forgotten.
int64_t add_without_carry(int64_t a, int64_t b) {
  int64_t sum = 0;
  for (int64_t place = 1; a > 0 || b > 0; place *= 10, a /= 10, b /= 10) {
    sum += (a % 10 + b % 10) % 10 * place;
  }
  return sum;
}

/// One factor of one digit; each carry forgotten.
int64_t multiply_without_carry(int64_t number, int64_t digit) {
  int64_t product = 0;
  for (int64_t place = 1; number > 0; place *= 10, number /= 10) {
    product += number % 10 * digit % 10 * place;
  }
  return product;
}

/// The digits of a number, least first.
Numbers digits_of(int64_t number) {
  Numbers digits;
  for (; number > 0; number /= 10) {
    digits.push_back(number % 10);
  }
  return digits;
}

/// Steps behind the digits of the sum of places[i] * 10^i, in the order of the text.
Numbers steps_of_places(const Numbers& places) {
  auto steps = carry_steps(places);
  std::reverse(steps.begin(), steps.end());
  return steps;
}

/// The same number of steps behind each digit of the answer.
Numbers equal_steps(int64_t answer, int64_t steps) {
  return Numbers(std::to_string(answer).size(), steps);
}

Numbers steps_of_addition(int64_t a, int64_t b) {
  auto places = digits_of(a);
  const auto others = digits_of(b);
  for (size_t i = 0; i < places.size(); ++i) {  // as many: both have k digits
    places[i] += others[i];
  }
  return steps_of_places(places);
}

Numbers steps_of_product(int64_t number, int64_t digit) {
  auto places = digits_of(number);
  for (auto& place : places) {
    place *= digit;
  }
  return steps_of_places(places);
}

/// Up to the first digit that differs both numbers give the answer's; from it on it takes all digits
/// through that one to know which does.
Numbers steps_of_comparison(int64_t a, int64_t b) {
  const auto first = std::to_string(a);
  const auto second = std::to_string(b);
  const auto differs = std::mismatch(first.begin(), first.end(), second.begin()).first;
  Numbers steps(first.size(), 1);
  const auto compared = differs - first.begin();
  std::fill(steps.begin() + compared, steps.end(), compared + 1);
  return steps;
}

Problem draw_addition(int64_t k, RandomStream& random) {
  const auto a = draw_number(k, random);
  const auto b = draw_number(k, random);
  Numbers mistakes = {add_without_carry(a, b)};
  for (int64_t place = 1; place < power_of_ten(k); place *= 10) {
    mistakes.push_back(a + b + place);
    mistakes.push_back(a + b - place);
  }
  return {.canonical = fmt::format("{}", fmt::join(sorted({a, b}), " + ")),
          .text = ask(fmt::format("What is {} + {}?", a, b)),
          .answer = a + b,
          .mistakes = mistakes,
          .steps = steps_of_addition(a, b)};
}

Problem draw_sum(int64_t k, RandomStream& random) {
  Numbers operands;
  int64_t sum = 0;
  for (int64_t i = 0; i <= k; ++i) {
    operands.push_back(random.between(1, 9));
    sum += operands.back();
  }
  Numbers mistakes = {sum - 1, sum + 1, sum + 10, sum - 10};
  for (const auto operand : operands) {
    mistakes.push_back(sum - operand);
    mistakes.push_back(sum + operand);
  }
  return {.canonical = fmt::format("{}", fmt::join(sorted(operands), " + ")),
          .text = ask(fmt::format("What is {}?", fmt::join(operands, " + "))),
          .answer = sum,
          .mistakes = mistakes,
          .steps = equal_steps(sum, k)};
}

Problem draw_chain(int64_t k, RandomStream& random) {
  auto value = random.between(1, 9);
  std::string canonical = std::to_string(value);
  std::string text = fmt::format("a = {}.", value);
  char name = 'a';
  Numbers mistakes = {value};
  for (int64_t i = 0; i < k; ++i) {
    const auto operand = random.between(1, 9);
    const bool is_sum =
        value < operand || (value + operand <= kMaxChainValue && random.below(2) == 0);
    text += fmt::format(" {} = {} {} {}.", static_cast<char>(name + 1), name, is_sum ? '+' : '-',
                        operand);
    canonical += fmt::format(" {} {}", is_sum ? '+' : '-', operand);
    mistakes.push_back(is_sum ? value - operand : value + operand);
    value = is_sum ? value + operand : value - operand;
    mistakes.push_back(value);
    ++name;
  }
  mistakes.push_back(value + 1);
  mistakes.push_back(value - 1);
  return {.canonical = "chain " + canonical,
          .text = ask(fmt::format("{} What is {}?", text, name)),
          .answer = value,
          .mistakes = mistakes,
          .steps = equal_steps(value, k)};
}

Problem draw_comparison(int64_t k, RandomStream& random) {
  // Numbers that agree in some leading digits, so that a glance at the first one does not do.
  const auto a = draw_number(k, random);
  auto b = a;
  while (b == a) {
    const auto open = power_of_ten(random.between(1, k));
    b = a / open * open + random.between(0, open - 1);
    if (b < power_of_ten(k - 1)) {
      b = a;
    }
  }
  const auto larger = std::max(a, b);
  return {.canonical = fmt::format("compare {}", fmt::join(sorted({a, b}), " ")),
          .text = ask(fmt::format("Which is larger, {} or {}?", a, b)),
          .answer = larger,
          .mistakes = {std::min(a, b)},
          .steps = steps_of_comparison(a, b)};
}

Problem draw_product(int64_t k, RandomStream& random) {
  const auto number = draw_number(k, random);
  const auto digit = random.between(2, 9);
  const auto product = number * digit;
  const bool first = random.below(2) == 0;
  return {
      .canonical = fmt::format("{}", fmt::join(sorted({number, digit}), " * ")),
      .text = ask(fmt::format("What is {} * {}?", first ? digit : number, first ? number : digit)),
      .answer = product,
      .mistakes = {multiply_without_carry(number, digit), product + digit, product - digit,
                   product + number, product - number, product + 10, product - 10},
      .steps = steps_of_product(number, digit)};
}

}  // namespace

std::string_view name_of(ReasoningKind kind) {
  const auto* found = std::find_if(kNames.begin(), kNames.end(),
                                   [&](const auto& pair) { return pair.first == kind; });
  return found->second;
}

ReasoningKind reasoning_kind(std::string_view name) {
  std::vector<std::string> known;
  for (const auto& [kind, kind_name] : kNames) {
    if (kind_name == name) {
      return kind;
    }
    known.emplace_back(kind_name);
  }
  fail(ErrorCode::kConfig, "reasoning: expected a kind of problem, got \"{}\".{}", name,
       suggestion(name, known));
}

Problem draw_problem(ReasoningKind kind, int64_t difficulty, RandomStream& random) {
  if (difficulty < 1 || difficulty > kMaxDifficulty) {
    fail(ErrorCode::kConfig, "draw_problem: expected a difficulty from 1 to {}, got {}.",
         kMaxDifficulty, difficulty);
  }
  Problem problem;
  switch (kind) {
    case ReasoningKind::kAddition:
      problem = draw_addition(difficulty, random);
      break;
    case ReasoningKind::kSum:
      problem = draw_sum(difficulty, random);
      break;
    case ReasoningKind::kChain:
      problem = draw_chain(difficulty, random);
      break;
    case ReasoningKind::kComparison:
      problem = draw_comparison(difficulty, random);
      break;
    case ReasoningKind::kProduct:
      problem = draw_product(difficulty, random);
      break;
  }
  problem.kind = kind;
  problem.difficulty = difficulty;
  return problem;
}

bool is_held_out(const Problem& problem, double held_out_share) {
  // No seed of a benchmark: see the header.
  return problem.difficulty > 1 &&
         RandomStream(derive_seed(0, problem.canonical)).uniform() < held_out_share;
}

}  // namespace loopbank
