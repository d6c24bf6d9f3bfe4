#pragma once
/// gated_sum (gated_sum.h) on the CPU: a pass over memory forward, a pass backward, which computes
/// the gates anew. Saved for backward: logits, biases, memories.

#include <ATen/core/Tensor.h>

#include <vector>

namespace loopbank::ops {

/// @param state     [..., D]    fp32
/// @param logits    [..., K D]  fp32 or bf16, K at most kMostFusedBanks
/// @param biases    K of [D]    fp32
/// @param memories  K of [..., D]  the dtype of logits
at::Tensor fused_gated_sum(const at::Tensor& state, const at::Tensor& logits,
                           const std::vector<at::Tensor>& biases,
                           const std::vector<at::Tensor>& memories);

}  // namespace loopbank::ops
