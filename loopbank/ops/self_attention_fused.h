#pragma once
/// self_attention (self_attention.h) on the CPU: tiles of queries against the keys up to the
/// diagonal, an online softmax over blocks of keys, and a backward pass that computes the weights
/// again.
///
/// Goals: no [T, T] anywhere, no work above the diagonal but for half of its tiles, products large
/// enough for gemm. Saved for backward: qkv, the result, the log-sum-exp of each row of scores
/// [B, H, T] fp32, in units of the scores.
/// A thread takes one key/value head of a batch row with all query heads that read it, so that the
/// sums of dk and dv are its own. Rejected: threads over tiles of queries, which would balance few
/// heads better, but need those sums once a thread.

#include <ATen/core/Tensor.h>

#include "loopbank/ops/self_attention.h"

namespace loopbank::ops {

/// @param qkv  [B, T, (H + 2 H_kv) d]  fp32 or bf16, not empty
/// Angles and norm are fp32 on the CPU; the shapes fit.
at::Tensor fused_self_attention(const at::Tensor& qkv, const AttentionHeads& heads,
                                const RotaryTable& angles, const HeadNorm& norm);

}  // namespace loopbank::ops
