#pragma once
/// The fused ops of the CPU, each in the file of its name: what the op's definition computes, equal
/// in value and gradient within its tolerance, in fewer passes over memory.
///
/// The definition checks its inputs and hands those on that `takes_fused` (kernels.h) lets pass:
/// fp32 and bf16, not empty, norms, biases, gates and hidden states in fp32. Signatures are those
/// of the public headers.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "loopbank/ops/feed_forward.h"
#include "loopbank/ops/halting.h"
#include "loopbank/ops/linear.h"
#include "loopbank/ops/norm_linear.h"
#include "loopbank/ops/paged_attention.h"
#include "loopbank/ops/rotated_heads.h"
#include "loopbank/ops/self_attention.h"

namespace loopbank::ops::cpu {

at::Tensor swiglu(const at::Tensor& gate_up);
at::Tensor scaled_residual(const at::Tensor& state, const at::Tensor& branch,
                           const at::Tensor& scale);
at::Tensor add_biases(const at::Tensor& x, at::TensorList biases);

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType out);
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps, at::ScalarType out);

at::Tensor linear(const at::Tensor& x, const std::shared_ptr<LinearWeights>& weights);
NormLinear norm_linear(const at::Tensor& a, const at::Tensor& norm, double eps,
                       const std::shared_ptr<LinearWeights>& weights);
at::Tensor feed_forward(const at::Tensor& a, const FeedForwardWeights& weights,
                        const at::Tensor& scale);

/// The same with weights prepared for inference (inference_branches.cpp), not differentiable; each
/// row as by the steps one by one, bit for bit.
at::Tensor norm_linear_of_inference(const at::Tensor& a, const at::Tensor& norm, double eps,
                                    LinearWeights& weights);
at::Tensor feed_forward_of_inference(const at::Tensor& a, const FeedForwardWeights& weights,
                                     const at::Tensor& scale);

at::Tensor self_attention(const at::Tensor& qkv, const AttentionHeads& heads,
                          const RotaryTable& angles, const HeadNorm& norm);
at::Tensor paged_attention(const at::Tensor& q, std::span<const PagedRow> rows,
                           const AttentionHeads& heads);
RotatedHeads rotated_heads(const at::Tensor& qkv, const AttentionHeads& heads,
                           const RotaryTable& angles, const HeadNorm& norm);

at::Tensor gather_rows(const at::Tensor& h, std::span<const int64_t> list);
void weighted_add_rows(const at::Tensor& y, std::span<const int64_t> rows,
                       std::span<const float> weights, const at::Tensor& h);
at::Tensor relative_change(const at::Tensor& h, const at::Tensor& before);
at::Tensor relative_acceleration(const at::Tensor& h, const at::Tensor& before,
                                 const at::Tensor& earlier);

at::Tensor memory_read(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values);
at::Tensor gated_sum(const at::Tensor& state, const at::Tensor& logits, at::TensorList biases,
                     at::TensorList memories);

/// Without a graph.
at::Tensor halting_distribution(const std::vector<at::Tensor>& logits);
HaltingMix mix_by_halting(const std::vector<at::Tensor>& states, const at::Tensor& halting);
at::Tensor router_logits(const at::Tensor& state, const at::Tensor& weight, const at::Tensor& bias,
                         double step);

at::Tensor linear_cross_entropy(const at::Tensor& states, const at::Tensor& weight,
                                const at::Tensor& targets, int64_t ignore);

/// Whether memory_read keeps its weights for the backward pass, which is 20 % shorter then: where
/// they take at most twice the memory of the queries that are kept anyway.
[[nodiscard]] constexpr bool keeps_read_weights(int64_t slots, int64_t width) {
  return slots <= 2 * width;
}

/// Rows whose logits [rows, V] linear_cross_entropy holds at a time beside the gradient of the
/// weight [V, D]; 0 where the logits of all rows lie in that gradient's memory.
[[nodiscard]] int64_t logit_rows_at_once(int64_t rows, int64_t vocabulary, int64_t width,
                                         int64_t bytes_each);

}  // namespace loopbank::ops::cpu
