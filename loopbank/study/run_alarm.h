#pragma once
/// A part of a trained model that does nothing, as the run's alarms told it.

#include <cstdint>
#include <string>
#include <vector>

namespace loopbank {

struct RunAlarm {
  int64_t seed = 0;
  int64_t step = 0;                  ///< at which it was raised
  std::string kind;                  ///< of metrics.jsonl: loops_at_one, ...
  std::vector<int64_t> layers = {};  ///< from 0; empty: of the whole model
  std::string message;               ///< one sentence for people
};

}  // namespace loopbank
