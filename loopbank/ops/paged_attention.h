#pragma once
/// Attention of new tokens over a paged cache of keys and values: decoding, prompts in chunks, and
/// both at once, for rows of any sequences.
///
/// A row's result depends on its query and on what it sees, and on nothing else: bit for bit the
/// same alone or among others, by any number of threads, with its last token in a block or given
/// beside it. For that, its sums go over the tokens in the order and the steps that their positions
/// give. For inference: not differentiable.
///
/// That holds on the CPU. Blocks are in main memory everywhere: for queries on a GPU what a row sees
/// is brought to it, and the definition computes there, whose sums may depend on a row's company.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "loopbank/ops/check.h"
#include "loopbank/ops/pages.h"
#include "loopbank/ops/self_attention.h"

namespace loopbank::ops {

/// paged_attention against exact arithmetic on the same inputs, of normal values. In bf16 only the
/// result is rounded; its reference rounds scores and weights too.
inline constexpr Tolerance kPagedAttentionTolerance{.fp32 = 5e-6, .bf16 = 0.02};

/// Attention of R rows, each over its own tokens.
///
///     o_r = sum_j softmax_j(q_r k_j / sqrt d) v_j    over the tokens j of row r  (SPEC 1, Attention)
///
/// Consecutive rows with the same `blocks` are taken together, which reads keys and values once for
/// all of them: a prompt's rows are to follow each other.
///
/// @param q      [R, H, d]  queries, rotated and normed; fp32 or bf16, as keys and values are
/// @param rows   [R]  what each of them sees, in main memory
/// @param heads  H and H_kv
/// @return [R, H d] in the dtype of q, on its device
/// @throws Error kShape when sizes do not fit, or a row sees no token or has only half of its own;
///         kDtype when q is neither fp32 nor bf16
/// Numerics: everything between q and the result in fp32; within kPagedAttentionTolerance.
at::Tensor paged_attention(const at::Tensor& q, std::span<const PagedRow> rows,
                           const AttentionHeads& heads);

/// The same without tensors, for the inner loop of a decoder: no allocation after a thread's first
/// call of a size, no check of what it is given.
struct PagedAttention {
  const void* q = nullptr;  ///< [R, H, d], dense
  std::span<const PagedRow> rows;
  AttentionHeads heads;
  int64_t width = 0;     ///< d
  bool is_bf16 = false;  ///< q, blocks and result; else fp32
  void* out = nullptr;   ///< [R, H d], dense
};

void paged_attention(const PagedAttention& call);

}  // namespace loopbank::ops
