#pragma once
/// mix_by_halting and router_logits (halting.h) on the CPU: a pass over memory forward, a pass
/// backward. Saved for backward: the inputs themselves.

#include <ATen/core/Tensor.h>

#include <vector>

#include "loopbank/ops/halting.h"

namespace loopbank::ops {

/// @param states   N tensors [B, T, D], all fp32 or all bf16
/// @param halting  [N, B, T]  fp32
HaltingMix fused_mix_by_halting(const std::vector<at::Tensor>& states, const at::Tensor& halting);

/// @param state   [B, T, D]   fp32
/// @param weight  [1, D + 1]  fp32
/// @param bias    [1]         fp32
at::Tensor fused_router_logits(const at::Tensor& state, const at::Tensor& weight,
                               const at::Tensor& bias, double step);

}  // namespace loopbank::ops
