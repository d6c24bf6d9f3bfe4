#pragma once
/// Causal self-attention of a whole sequence, from the joined projection to the merged heads: what
/// training computes. Inference, over a cache of keys, takes paged_attention.h.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "loopbank/ops/check.h"
#include "loopbank/ops/rotary.h"

namespace loopbank::ops {

/// self_attention and its gradients against exact arithmetic on the same inputs, of normal values.
/// In bf16 queries, keys, weights, their gradients and the result are each rounded.
inline constexpr Tolerance kSelfAttentionTolerance{.fp32 = 1e-5, .bf16 = 0.03};

/// Heads in a row of queries, keys and values.
struct AttentionHeads {
  int64_t query = 0;  ///< H
  int64_t key = 0;    ///< H_kv, divides H: head h reads key head h / (H / H_kv)
};

/// The norm of queries and keys, and its place.
struct HeadNorm {
  at::Tensor query_weight;  ///< [d] fp32; undefined without a norm
  at::Tensor key_weight;    ///< [d] fp32; likewise
  double eps = 0.0;
  NormPlace place = NormPlace::kAfter;
};

/// Causal attention over heads whose queries and keys are rotated and normed.
///
///     q = rotate_and_norm(query), k = rotate_and_norm(key)
///     o_i = sum_{j <= i} softmax_j(q_i k_j / sqrt d) v_j              (SPEC 1, Attention)
///
/// @param qkv     [B, T, (H + 2 H_kv) d]  query heads, key heads, value heads side by side
/// @param heads   H and H_kv
/// @param angles  of the positions 0 to T - 1
/// @param norm    weights shared by the heads, or none
/// @return [B, T, H d] in the dtype of qkv; differentiable in qkv and both weights
/// @throws Error kShape when the sizes do not fit or d is odd
/// Numerics: rotation, norm, softmax and every sum in fp32; within kSelfAttentionTolerance. The
/// fused version keeps qkv, the result and one fp32 number per row and head for the backward pass,
/// and its memory grows linearly in T.
at::Tensor self_attention(const at::Tensor& qkv, const AttentionHeads& heads,
                          const RotaryTable& angles, const HeadNorm& norm);

}  // namespace loopbank::ops
