#include "loopbank/infer/thread_choice.h"

#include <algorithm>
#include <bit>

namespace loopbank {
namespace {

constexpr int64_t kPassesTried = 4;
constexpr int64_t kFirstInterval = 64;
constexpr int64_t kLongestInterval = 8192;
constexpr double kAboutAsFast = 1.1;  // that a core is left to others is worth so much time
constexpr double kMemory = 0.75;      // of a mean, what a pass before this one counts

}  // namespace

ThreadChoice::Size& ThreadChoice::size_of(int64_t rows) {
  const auto k = std::bit_width(static_cast<uint64_t>(std::max<int64_t>(rows, 1))) - 1;
  return sizes_[std::min(static_cast<size_t>(k), sizes_.size() - 1)];
}

int ThreadChoice::threads(int64_t rows) {
  if (all_ <= 1) {
    return all_;
  }
  auto& size = size_of(rows);
  if (size.interval == 0) {  // the first of its size: both ways, all threads first
    size.interval = kFirstInterval;
    size.trial = kPassesTried;
    size.takes_one = true;
  } else if (size.trial == 0 && size.until == 0) {
    size.trial = kPassesTried;
  }
  const bool looks = size.trial > 0;
  last_took_one_ = looks ? !size.takes_one : size.takes_one;
  return last_took_one_ ? 1 : all_;
}

void ThreadChoice::add(int64_t rows, double seconds) {
  if (all_ <= 1) {
    return;
  }
  auto& size = size_of(rows);
  const auto way = last_took_one_ ? 0 : 1;
  auto& mean = size.seconds_a_row[way];
  const double a_row = seconds / static_cast<double>(std::max<int64_t>(rows, 1));
  mean = size.passes[way] == 0 ? a_row : kMemory * mean + (1.0 - kMemory) * a_row;
  ++size.passes[way];
  if (size.trial > 0) {
    --size.trial;
    if (size.trial == 0) {
      decide(size);
    }
  } else if (size.until > 0) {
    --size.until;
  }
}

void ThreadChoice::decide(Size& size) {
  if (size.passes[0] == 0 || size.passes[1] == 0) {
    size.takes_one = !size.takes_one;  // the way that was just tried; the other one is next
    size.trial = kPassesTried;
    return;
  }
  const bool one_is_better = size.seconds_a_row[0] <= kAboutAsFast * size.seconds_a_row[1];
  const bool is_as_before = one_is_better == size.takes_one;
  size.interval = is_as_before ? std::min(2 * size.interval, kLongestInterval) : kFirstInterval;
  size.takes_one = one_is_better;
  size.until = size.interval;
}

}  // namespace loopbank
