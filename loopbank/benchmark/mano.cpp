#include "loopbank/benchmark/mano.h"

#include <algorithm>

#include "loopbank/benchmark/modular.h"

namespace loopbank {
namespace {

struct Expression {
  std::string text;
  std::string key;
  int64_t value = 0;
  int64_t depth = 0;  ///< consecutive operations
};

Expression draw_expression(int64_t operators, int64_t modulus, RandomStream& random) {
  if (operators == 0) {
    const auto value = random.between(0, modulus - 1);
    const std::string digit = {kDigits[static_cast<size_t>(value)]};
    return {.text = digit, .key = digit, .value = value};
  }
  const auto name = draw_operator(random);
  const auto left_operators = random.between(0, operators - 1);
  const auto left = draw_expression(left_operators, modulus, random);
  const auto right = draw_expression(operators - 1 - left_operators, modulus, random);
  return {.text = name + left.text + right.text,
          .key = key_of_operation(name, left.key, right.key),
          .value = apply_operator(name, left.value, right.value, modulus),
          .depth = 1 + std::max(left.depth, right.depth)};
}

}  // namespace

Example draw_mano(int64_t k, int64_t modulus, RandomStream& random) {
  // Each value equally often behind each first operator: products would be 0 more often than not.
  const auto name = draw_operator(random);
  const auto value = random.between(0, modulus - 1);
  auto expression = draw_expression(k, modulus, random);
  while (expression.text[0] != name || expression.value != value) {
    expression = draw_expression(k, modulus, random);
  }
  return {.difficulty = k,
          .question = expression.text + "=",
          .answer = {kDigits[static_cast<size_t>(expression.value)]},
          .choices = numbers_below(modulus),
          .steps = {expression.depth},
          .key = expression.key};
}

}  // namespace loopbank
