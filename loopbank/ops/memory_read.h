#pragma once
/// Reading a bank of learned key/value slots.

#include <ATen/core/Tensor.h>

namespace loopbank::ops {

/// Softmax read of one bank.
///
///     m = softmax(q K^T / sqrt D) V                                    (SPEC 1, Memory)
///
/// @param query  [B, T, D]  normed queries
/// @param keys   [M, D]     normed keys, dtype of query
/// @param values [M, D]     dtype of query
/// @return m [B, T, D] in that dtype; differentiable in all three
/// @throws Error kShape when D or M differ
/// Numerics: softmax over the slots in fp32.
at::Tensor memory_read(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values);

}  // namespace loopbank::ops
