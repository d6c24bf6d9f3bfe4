#pragma once
/// loopbank bench ops: every fused op against its reference, at the sizes of a run's config.

#include <ATen/core/Tensor.h>

#include <nlohmann/json.hpp>

#include "loopbank/train/run_config.h"

namespace loopbank::cli {

/// Compares each op's versions in value and gradients, then times both, one op after another.
/// On a GPU an op is timed in calls one after another, the wait for the last included.
/// @param print  prints one line per op on stdout as it is measured
/// @throws Error kData where the versions differ by more than ops::allowed_difference
[[nodiscard]] nlohmann::ordered_json bench_ops(const RunConfig& config, at::Device device,
                                               bool print);

}  // namespace loopbank::cli
