#pragma once
/// Answers of a server under load against those of a generator that serves nobody else.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "loopbank/infer/request.h"
#include "loopbank/serve/load/load_run.h"

namespace loopbank::cli {

/// How the server was told to answer.
struct LoadCheckSettings {
  std::filesystem::path model;
  at::ScalarType compute_dtype{};
  InferenceSettings inference{};
};

struct LoadChecked {
  int64_t answers = 0;
  int64_t tokens = 0;
  /// The largest difference of a log probability; 0 where the model's arithmetic does not depend on
  /// who else is served.
  double largest_difference = 0.0;
};

/// Asks a generator for each of these, alone and in turn.
/// @param answers  of loads with these options; one that was cut off is compared as far as it came
/// @throws Error kData naming the seed of the first answer whose tokens are others, or whose log
///   probabilities lie further apart than 1e-6
[[nodiscard]] LoadChecked check_load_answers(const LoadCheckSettings& settings,
                                             const LoadOptions& options,
                                             const std::vector<LoadPair>& answers);

}  // namespace loopbank::cli
