#pragma once
/// A part of a trained model that does nothing, as the run's alarms told it.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace loopbank {

struct RunConfig;

struct RunAlarm {
  int64_t seed = 0;
  int64_t step = 0;                  ///< at which it was raised
  std::string kind;                  ///< of metrics.jsonl: loops_at_one, ...
  std::vector<int64_t> layers = {};  ///< from 0; empty: of the whole model
  std::string message;               ///< what it means, in a few words
};

/// The alarms that were still up when a run ended, in the order in which they were raised; those that
/// were over by then are none.
/// @param metrics  metrics.jsonl of the run
/// @throws Error kData naming file:line for a row that is none of an alarm
[[nodiscard]] std::vector<RunAlarm> read_run_alarms(const std::filesystem::path& metrics,
                                                    int64_t seed);

/// Whether a run was long enough, and wrote what it takes, for every alarm of its model: false with
/// alarms off, without validations or with fewer than their patience, and of programs that did not
/// measure what the alarms watch. Only then does a run without an alarm tell of parts that do work.
/// @param metrics  metrics.jsonl of the run
[[nodiscard]] bool was_watched(const RunConfig& config, const std::filesystem::path& metrics);

}  // namespace loopbank
