#include "loopbank/study/time_left.h"

#include <algorithm>
#include <map>

#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

using RunState = RunTime::State;

/// Below this share of a run its time says nothing: it opens its data, and first steps are slow.
constexpr double kTellingShare = 0.02;

/// Seconds a FLOP of the runs in a state; nothing where they tell none.
std::optional<double> seconds_a_flop(const std::vector<RunTime>& runs, RunState state) {
  double seconds = 0.0;
  double flops = 0.0;
  for (const auto& run : runs) {
    const double share = state == RunState::kDone ? 1.0 : run.share_here;
    if (run.state == state && run.seconds > 0.0 && share >= kTellingShare) {
      seconds += run.seconds;
      flops += run.flops * share;
    }
  }
  return flops > 0.0 ? std::optional(seconds / flops) : std::nullopt;
}

}  // namespace

std::optional<double> seconds_left(const std::vector<RunTime>& runs, int64_t at_once) {
  std::map<std::string, std::vector<double>> done;
  for (const auto& run : runs) {
    if (run.state == RunState::kDone && run.seconds > 0.0) {
      done[run.system].push_back(run.seconds);
    }
  }
  const bool any_left = std::any_of(runs.begin(), runs.end(), [](const RunTime& run) {
    return run.state == RunState::kWaiting || run.state == RunState::kInWork;
  });
  auto pace = seconds_a_flop(runs, RunState::kDone);
  pace = pace ? pace : seconds_a_flop(runs, RunState::kInWork);
  if (!pace || !any_left) {
    return std::nullopt;
  }
  std::vector<double> workers;
  const auto take = [&](const RunTime& run) {
    const auto found = done.find(run.system);
    const double whole = found == done.end() ? run.flops * *pace : mean_of(found->second);
    return whole * (1.0 - run.share);
  };
  for (const auto& run : runs) {
    if (run.state == RunState::kInWork) {
      workers.push_back(take(run));
    }
  }
  workers.resize(std::max(workers.size(), static_cast<size_t>(std::max<int64_t>(1, at_once))));
  for (const auto& run : runs) {
    if (run.state == RunState::kWaiting) {
      *std::min_element(workers.begin(), workers.end()) += take(run);
    }
  }
  return *std::max_element(workers.begin(), workers.end());
}

}  // namespace loopbank
