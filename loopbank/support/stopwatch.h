#pragma once
/// How long something takes, in seconds.

#include <chrono>

namespace loopbank {

/// Runs from its construction on; setting the time of day does not move it.
class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(Clock::now() - begin_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin_ = Clock::now();
};

}  // namespace loopbank
