#pragma once
/// Reading a bank of learned key/value slots.

#include <ATen/core/Tensor.h>

#include "loopbank/ops/check.h"
#include "loopbank/ops/inference_weights.h"

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

/// A bank prepared once for inference: the read of a query is the same bit for bit alone and among
/// others, on any number of threads.
class PreparedBank {
 public:
  /// @param keys    [M, D]  normed keys, fp32 or bf16, on the CPU
  /// @param values  [M, D]  likewise
  /// @param format  of both
  /// @throws Error kShape when they differ, and what InferenceWeights throws
  PreparedBank(const at::Tensor& keys, const at::Tensor& values, WeightFormat format);

  [[nodiscard]] int64_t slots() const { return keys_.out(); }
  /// What one read of a single query moves.
  [[nodiscard]] int64_t bytes() const { return keys_.bytes() + values_.bytes(); }

  /// m as above, not differentiable.
  /// @param query  [..., D]  fp32 or bf16
  /// @return [..., D] in that dtype
  /// @throws Error kShape when D differs, kConfig where a graph would be built
  /// Numerics: scores and softmax in fp32, the weights in the dtype of query; within
  /// kMemoryReadTolerance.
  [[nodiscard]] at::Tensor read(const at::Tensor& query) const;

 private:
  InferenceWeights keys_;    // [M, D]
  InferenceWeights values_;  // V^T [D, M]
};

}  // namespace loopbank::ops
