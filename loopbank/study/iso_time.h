#pragma once
/// The baseline of equal wall clock: how many steps a cheaper model takes in the time that another
/// one trains.
///
///     steps = steps of the other * seconds a step of the other / seconds a step of its own
///
/// Both are timed side by side before either trains, on random tokens, and the steps are written
/// down: a study that goes on keeps them.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include "loopbank/train/run_config.h"

namespace loopbank {

struct IsoTime {
  double seconds_a_step = 0.0;
  double target_seconds_a_step = 0.0;
  int64_t steps = 0;
};

/// Seconds of each of `rounds` training steps of both runs in turns, the medians.
/// @param should_stop  asked between steps; a stopped measurement has 0 steps
[[nodiscard]] IsoTime measure_iso_time(const RunConfig& run, const RunConfig& target,
                                       int64_t rounds, const std::function<bool()>& should_stop);

/// What an earlier process measured; nothing without the file.
/// @throws Error kData for a file of another form
[[nodiscard]] std::optional<IsoTime> read_iso_time(const std::filesystem::path& file);

/// The same; else measured now and written there, unless it was stopped.
[[nodiscard]] IsoTime iso_time_of(const std::filesystem::path& file, const RunConfig& run,
                                  const RunConfig& target,
                                  const std::function<bool()>& should_stop);

}  // namespace loopbank
