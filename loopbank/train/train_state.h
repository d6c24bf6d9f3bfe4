#pragma once
/// All that a run needs to continue, apart from the weights and the optimizer's moments.
///
/// Random streams are counted, not stored: the initial values follow from the seed, the order of
/// documents from the seed and the epoch, and a step draws nothing. So the sampler's position and
/// the seed are the whole random state.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/data/sampler.h"

namespace loopbank {

struct TrainState {
  int64_t step = 0;             ///< steps done; the learning rate follows from it
  int64_t tokens = 0;           ///< trained on so far
  int64_t optimizer_steps = 0;  ///< steps that changed the weights
  SamplerState sampler;
  int64_t skipped_steps = 0;      ///< steps left out because of a loss that was not finite
  int64_t consecutive_skips = 0;  ///< of these, the most recent ones in a row
  int64_t train_file_tokens = 0;  ///< of all training sources, which must not change
  double loss = 0.0;              ///< of the last step
  double mean_loops = 1.0;        ///< of the last step
  int64_t validation_step = 0;    ///< of the last validation; 0: none
  double validation_loss = 0.0;
  double validation_bpb = 0.0;
  double train_seconds = 0.0;  ///< in steps, over all parts of the run
  /// Parameters that were added to the model that the run started from (run_init.h).
  std::vector<std::string> added_parameters = {};
  bool operator==(const TrainState&) const = default;
};

[[nodiscard]] nlohmann::ordered_json to_json(const TrainState& state);
/// @throws Error kCheckpoint naming the key that is missing or of the wrong type
[[nodiscard]] TrainState train_state_from_json(const nlohmann::json& json);

}  // namespace loopbank
