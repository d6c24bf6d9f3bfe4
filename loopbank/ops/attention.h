#pragma once
/// Causal attention over heads.

#include <ATen/core/Tensor.h>

#include "loopbank/ops/check.h"

namespace loopbank::ops {

/// causal_attention against exact arithmetic. In bf16 the scores, the weights and the result are
/// each rounded.
inline constexpr Tolerance kAttentionTolerance{.fp32 = 5e-6, .bf16 = 0.02};

/// Causal attention of T new tokens over S tokens, the last T of which are themselves.
///
///     o_i = sum_{j <= i + S - T} softmax_j(q_i k_j / sqrt d) v_j       (SPEC 1, Attention)
///
/// @param query        [B, H, T, d]
/// @param key, value   [B, H_kv, S, d], H_kv divides H: head h reads key head h / (H / H_kv)
/// @return [B, H, T, d] in the dtype of query; differentiable in all three
/// @throws Error kShape when the sizes do not fit
/// Numerics: softmax in fp32; within kAttentionTolerance. On a GPU with LibTorch 2 this is
/// scaled_dot_product_attention.
at::Tensor causal_attention(const at::Tensor& query, const at::Tensor& key,
                            const at::Tensor& value);

}  // namespace loopbank::ops
