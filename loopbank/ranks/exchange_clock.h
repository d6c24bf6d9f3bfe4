#pragma once
/// A clock that the threads of a transport start and stop.

#include <cstdint>
#include <mutex>
#include <utility>

#include "loopbank/ranks/ranks.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {

/// Measures the time in which at least one exchange is on its way. Calls from several threads are safe.
class ExchangeClock {
 public:
  void start() {
    const std::scoped_lock lock(mutex_);
    if (in_flight_++ == 0) {
      since_ = watch_.seconds();
    }
  }
  void stop() {
    const std::scoped_lock lock(mutex_);
    if (--in_flight_ == 0) {
      times_.exchanging += watch_.seconds() - since_;
    }
  }
  void add_wait(double seconds) {
    const std::scoped_lock lock(mutex_);
    times_.waited += seconds;
  }
  ExchangeTimes take() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(times_, {});
  }

 private:
  std::mutex mutex_;
  const Stopwatch watch_;
  int64_t in_flight_ = 0;
  double since_ = 0.0;
  ExchangeTimes times_;
};

}  // namespace loopbank
