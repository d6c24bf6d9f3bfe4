#include "loopbank/benchmark/carries.h"

namespace loopbank {
namespace {

/// What places[first] up to places[end - 1] carry into the next place by themselves.
int64_t carry_of(const std::vector<int64_t>& places, size_t first, size_t end) {
  int64_t carry = 0;
  for (auto i = first; i < end; ++i) {
    carry = (places[i] + carry) / 10;
  }
  return carry;
}

}  // namespace

std::vector<int64_t> carry_steps(const std::vector<int64_t>& places) {
  auto padded = places;
  for (auto carry = carry_of(places, 0, places.size()); carry > 0; carry /= 10) {
    padded.push_back(0);  // the carry itself is what stands there
  }
  std::vector<int64_t> steps;
  size_t num_digits = 1;
  for (size_t i = 0; i < padded.size(); ++i) {
    const auto carry = carry_of(padded, 0, i);
    size_t first = i;
    while (carry_of(padded, first, i) != carry) {
      --first;
    }
    steps.push_back(1 + static_cast<int64_t>(i - first));
    num_digits = (padded[i] + carry) % 10 > 0 ? i + 1 : num_digits;
  }
  steps.resize(num_digits);  // without leading zeros
  return steps;
}

}  // namespace loopbank
