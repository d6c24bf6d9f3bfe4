#pragma once
/// Under which tags TensorBoard shows the rows of metrics.jsonl.
///
///     a step          train/loss, cross_entropy, learning_rate, gradient_norm, tokens_per_second,
///                     tokens, ponder, ponder_weight, skipped; loops/mean, loops/layer_0, ...
///     a validation    validation/loss, bpb, mean_loops; validation_loops/layer_0, ...;
///                     validation_loss_by_loops/1, ...; local_gates/layer_0, ..., global_gates/...;
///                     loop_scales/layer_0_loop_1, ...
///     an evaluation   evaluation/TASK:max_loops=N, evaluation_bpb/TASK:max_loops=N
///     an alarm        alarms/loops_at_one, alarms/loops_at_most: how many layers
///
/// Layers are counted from 0, loops from 1.

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "loopbank/train/event_record.h"

namespace loopbank {

/// The scalars of a row, in the order of its keys; keys that are not known give none. null, which
/// stands for a value that is not finite, becomes NaN. cross_entropy is loss less the weighted ponder
/// term.
[[nodiscard]] std::vector<EventScalar> scalars_of_row(const nlohmann::ordered_json& row);

}  // namespace loopbank
