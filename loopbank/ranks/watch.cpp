#include "loopbank/ranks/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "loopbank/ranks/watch_state.h"

namespace loopbank {

RankWatch::RankWatch(const RankPlace& place, WatchSettings settings) {
  if (place.size == 1) {
    return;
  }
  state_ = std::make_shared<State>(place, std::move(settings));
  state_->open();
  state_->talker = std::thread([state = state_] { state->talk(); });
  state_->guardian = std::thread([state = state_] { state->guard(); });
}

RankWatch::~RankWatch() {
  leave();
}

RankWatch& RankWatch::operator=(RankWatch&& other) noexcept {
  leave();
  state_ = std::move(other.state_);
  return *this;
}

std::string RankWatch::explain(const std::string& cause) {
  if (!state_) {
    return cause;
  }
  auto& state = *state_;
  std::unique_lock lock(state.mutex);
  state.question = cause;
  state.is_urgent = true;
  state.changed.notify_all();
  const auto patience = WatchSeconds(std::max(3.0, kPatienceBeats * state.beat));
  if (!state.changed.wait_for(lock, patience, [&] { return state.verdict.has_value(); })) {
    const double silent = seconds_since(state.answered);
    state.verdict =
        silent > kLateBeats * state.beat
            ? fmt::format("{} has not answered for {:.0f} s: frozen or cut off",
                          state.store_is_gone(), silent)
            : fmt::format(
                  "every rank answers, but an exchange failed: {}. A slow or partly cut "
                  "network: raise training.rank_timeout ({:g} s passed)",
                  cause, state.exchange_seconds());
    state.decided = WatchClock::now();
  }
  return *state.verdict;
}

void RankWatch::leave(const std::string& cause) {
  if (!state_) {
    return;
  }
  auto& state = *state_;
  {
    std::unique_lock lock(state.mutex);
    if (!cause.empty() && !state.verdict) {
      state.own_cause = cause;
      state.is_urgent = true;
      state.changed.notify_all();
      state.changed.wait_for(lock, WatchSeconds(std::max(1.0, kLateBeats * state.beat)),
                             [&] { return state.verdict.has_value() || state.talk_ended; });
    }
  }
  state.wait_until_seen();
  std::unique_lock lock(state.mutex);
  state.leaving = true;
  state.changed.notify_all();
  // A thread that hangs in the network is left to itself; it holds its own share of the state.
  const bool ended = state.changed.wait_for(lock, WatchSeconds(std::max(1.0, 2.0 * state.beat)),
                                            [&] { return state.talk_ended; });
  lock.unlock();
  ended ? state.talker.join() : state.talker.detach();
  state.guardian.join();
  state_.reset();
}

}  // namespace loopbank
