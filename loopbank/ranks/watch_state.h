#pragma once
/// The threads of a rank's watch and what they share with it. For sources of this folder alone.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "loopbank/ranks/process_group.h"
#include "loopbank/ranks/watch.h"

namespace loopbank {

using WatchClock = std::chrono::steady_clock;
using WatchSeconds = std::chrono::duration<double>;

/// Beats that a rank may be late before others, who have reason to ask, call it missing.
constexpr double kLateBeats = 3.0;
/// Beats after which a question is answered as well as it can be.
constexpr double kPatienceBeats = 8.0;
/// Beats that a rank has to end by itself once it is known why.
constexpr double kGraceBeats = 4.0;

inline double seconds_since(WatchClock::time_point then) {
  return WatchSeconds(WatchClock::now() - then).count();
}

/// What the threads and the rank share. It outlives the watch where a thread hangs in the network.
struct RankWatch::State {
  State(const RankPlace& place_in, WatchSettings settings_in)
      : place(place_in),
        settings(std::move(settings_in)),
        beat(std::clamp(settings.timeout_seconds / 8.0, 0.1, 1.0)),
        next((place.rank + 1) % place.size),
        serves(place.rank == 0 && !place.store_is_served) {}

  [[nodiscard]] double exchange_seconds() const {
    return settings.exchange_seconds > 0.0 ? settings.exchange_seconds : settings.timeout_seconds;
  }
  void open();
  void talk();
  void guard();
  void talk_once();
  void watch_next();
  void answer_question(double late);
  void note_standstill(double gap);
  void note_lost_store(const std::string& cause);
  [[nodiscard]] std::string store_is_gone() const;
  [[nodiscard]] std::string name_of(int64_t rank);
  void publish(const std::string& line);
  void decide(const std::string& line);
  [[nodiscard]] bool pause(double seconds);
  void pause_talk(double seconds);
  void wait_until_seen();

  const RankPlace place;
  const WatchSettings settings;
  const double beat;   // seconds
  const int64_t next;  // the rank that this one looks at
  const bool serves;   // the store ends with this process
  StorePointer store;  // used by `talk` alone, once it runs
  std::string own_name;
  std::string first_name;  // rank 0's, for when its store is gone

  // Of `talk` alone.
  int64_t exchanges_told = 0;
  int64_t beats_of_next = -1;
  int64_t exchanges_of_next = 0;
  WatchClock::time_point next_moved = WatchClock::now();
  bool is_told = false;  // that this rank has read the verdict

  std::mutex mutex;
  std::condition_variable changed;
  bool leaving = false;
  bool is_urgent = false;
  bool talk_ended = false;
  int64_t seen_by = 0;
  std::optional<std::string> own_cause;  // of an error that ends this rank, to be published
  std::optional<std::string> question;   // what c10d said here
  std::optional<std::string> verdict;
  WatchClock::time_point decided;
  WatchClock::time_point answered = WatchClock::now();  // the store's last answer
  WatchClock::time_point stood_still_until{};           // of this process
  std::thread talker;
  std::thread guardian;
};

}  // namespace loopbank
