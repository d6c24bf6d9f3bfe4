#include "loopbank/benchmark/addition.h"

#include <fmt/format.h>

#include <algorithm>

#include "loopbank/benchmark/carries.h"

namespace loopbank {
namespace {

/// Digits of a number, least first, the greatest not 0 but in a number of one digit.
std::string draw_digits(int64_t k, RandomStream& random) {
  std::string digits;
  for (int64_t i = 0; i < k; ++i) {
    const auto least = i + 1 == k && k > 1 ? 1 : 0;
    digits += static_cast<char>('0' + random.between(least, 9));
  }
  return digits;
}

}  // namespace

Example draw_addition(int64_t k, bool reversed, RandomStream& random) {
  auto a = draw_digits(k, random);
  auto b = draw_digits(k, random);
  std::vector<int64_t> places;
  std::string sum;
  int64_t carry = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    places.push_back(a[i] - '0' + b[i] - '0');
    carry += places.back();
    sum += static_cast<char>('0' + carry % 10);
    carry /= 10;
  }
  if (carry > 0) {
    sum += '1';
  }
  auto steps = carry_steps(places);
  if (!reversed) {
    std::reverse(a.begin(), a.end());
    std::reverse(b.begin(), b.end());
    std::reverse(sum.begin(), sum.end());
    std::reverse(steps.begin(), steps.end());
  }
  return {.difficulty = k,
          .question = fmt::format("{}+{}=", a, b),
          .answer = std::move(sum),
          .steps = std::move(steps),
          .key = fmt::format("{}+{}", std::min(a, b), std::max(a, b))};
}

}  // namespace loopbank
