#include "loopbank/benchmark/carries.h"

#include <algorithm>

namespace loopbank {

std::vector<int64_t> carry_steps(const std::vector<int64_t>& places) {
  std::vector<int64_t> steps;
  int64_t carry = 0;
  int64_t chain = 0;  // places that the carry comes through
  size_t num_digits = 1;
  for (size_t i = 0; i < places.size() || carry > 0; ++i) {
    const auto alone = i < places.size() ? places[i] : 0;
    const auto sum = alone + carry;
    steps.push_back(1 + chain);
    num_digits = sum % 10 > 0 || sum >= 10 ? i + 1 : num_digits;
    const bool decided_below = sum / 10 != alone / 10;
    chain = sum < 10 ? 0 : decided_below ? chain + 1 : 1;
    carry = sum / 10;
  }
  steps.resize(std::max(num_digits, size_t{1}), 1);  // without leading zeros
  return steps;
}

}  // namespace loopbank
