#include "loopbank/benchmark/modular.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "loopbank/benchmark/example.h"
#include "loopbank/support/hash.h"

namespace loopbank {

char draw_operator(RandomStream& random) {
  constexpr std::array kOperators = {'+', '-', '*'};
  return kOperators[random.below(kOperators.size())];
}

int64_t apply_operator(char name, int64_t a, int64_t b, int64_t modulus) {
  const auto result = name == '+' ? a + b : name == '-' ? a - b : a * b;
  return (result % modulus + modulus) % modulus;
}

std::string key_of_operation(char name, std::string_view a, std::string_view b) {
  constexpr size_t kLongest = 64;
  if (name != '-' && b < a) {
    std::swap(a, b);
  }
  auto key = fmt::format("({}{}{})", a, name, b);
  return key.size() > kLongest ? fmt::format("{:016x}", hash_of(key)) : key;
}

std::vector<std::string> numbers_below(int64_t modulus) {
  std::vector<std::string> numbers;
  for (const char digit : kDigits.substr(0, static_cast<size_t>(modulus))) {
    numbers.push_back({digit});
  }
  return numbers;
}

}  // namespace loopbank
