#pragma once
/// A study that is planned and not trained: what each system would cost at a scale.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/study/systems.h"

namespace loopbank {

/// FLOPs a second that one H100 sustains in training: 40 % of its 989e12 in bf16, dense.
constexpr double kSustainedGpuFlops = 0.4 * 989e12;

/// parameters, flops_per_token, training FLOPs, tokens, memory, GPU hours and the paper's scores of
/// every system, and the sums.
[[nodiscard]] nlohmann::ordered_json plan_to_json(const std::vector<System>& systems);

/// The same as a table for people.
[[nodiscard]] std::string format_plan(const std::vector<System>& systems);

}  // namespace loopbank
