#pragma once
/// Reading a bank of learned key/value slots.

#include <ATen/core/Tensor.h>

#include "loopbank/ops/check.h"

namespace loopbank::ops {

/// memory_read against exact arithmetic. In bf16 the scores, the weights and the result are each
/// rounded.
inline constexpr Tolerance kMemoryReadTolerance{.fp32 = 5e-6, .bf16 = 0.04};

/// Softmax read of one bank.
///
///     m = softmax(q K^T / sqrt D) V                                    (SPEC 1, Memory)
///
/// @param query  [B, T, D]  normed queries
/// @param keys   [M, D]     normed keys, dtype of query
/// @param values [M, D]     dtype of query
/// @return m [B, T, D] in that dtype; differentiable in all three
/// @throws Error kShape when D or M differ
/// Numerics: softmax over the slots in fp32; within kMemoryReadTolerance.
at::Tensor memory_read(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values);

}  // namespace loopbank::ops
