/// paged_attention (paged_attention.h) on the CPU: a thread takes one key head of a few rows.

#include "loopbank/ops/paged_attention.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/gemm/scratchpad.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/paged_attention_kernels.h"
#include "loopbank/ops/workspace.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {
namespace {

/// Rows that a thread takes at a time: many, so that a prompt's share their keys; few, where there
/// would be nothing for the other threads. What a thread takes changes no bit of a row.
int64_t rows_of_item(int64_t rows, int64_t key_heads, int64_t together) {
  const int64_t threads = at::get_num_threads();
  const auto items_of_head = divide_up(threads, key_heads);
  return std::clamp<int64_t>(divide_up(rows, items_of_head), 1, together);
}

/// Items that are worth waking a thread for: about 10 us of products.
int64_t items_of_thread(const PagedAttention& call, int64_t rows_each) {
  constexpr int64_t kProductsPerThread = 262144;
  int64_t tokens = 0;
  for (const auto& row : call.rows) {
    tokens += row.total();
  }
  const auto group = call.heads.query / call.heads.key;
  const auto of_row = 2 * divide_up(tokens, std::ssize(call.rows)) * call.width * group;
  return std::max<int64_t>(1, kProductsPerThread / (of_row * rows_each));
}

}  // namespace

void paged_attention(const PagedAttention& call) {
  honour_simd_limit();
  const auto rows = std::ssize(call.rows);
  if (rows == 0) {
    return;
  }
  static const auto* const dots = is_limited_to_avx2() ? nullptr : paged_dots();
  const PagedQueries queries{.query = {call.q, call.is_bf16},
                             .rows = call.rows.data(),
                             .key_heads = static_cast<size_t>(call.heads.key),
                             .group = static_cast<size_t>(call.heads.query / call.heads.key),
                             .width = static_cast<size_t>(call.width),
                             .out = {call.out, call.is_bf16},
                             .dots = dots};
  const auto rows_each =
      rows_of_item(rows, call.heads.key, static_cast<int64_t>(queries.rows_together()));
  const auto items_of_head = divide_up<int64_t>(rows, rows_each);
  // A thread's items are of one head, as far as there are enough of them.
  at::parallel_for(
      0, call.heads.key * items_of_head, items_of_thread(call, rows_each),
      [&](int64_t item, int64_t last) {
        thread_local Scratchpad scratchpad;
        auto* const scratch =
            static_cast<float*>(scratchpad.of_size(queries.scratch_values() * sizeof(float)));
        for (; item < last; ++item) {
          const auto first = item % items_of_head * rows_each;
          paged_attention_of_head(queries, static_cast<size_t>(first),
                                  static_cast<size_t>(std::min<int64_t>(rows, first + rows_each)),
                                  static_cast<size_t>(item / items_of_head), scratch);
        }
      });
}

at::Tensor cpu::paged_attention(const at::Tensor& q, std::span<const PagedRow> rows,
                                const AttentionHeads& heads) {
  const ProfiledOp op("loopbank::paged_attention");
  const auto queries = dense(q);
  auto out = new_tensor({q.size(0), q.size(1) * q.size(2)}, q.scalar_type());  // [R, H d]
  ops::paged_attention({.q = queries.data_ptr(),
                        .rows = rows,
                        .heads = heads,
                        .width = q.size(2),
                        .is_bf16 = q.scalar_type() == at::kBFloat16,
                        .out = out.data_ptr()});
  return out;
}

}  // namespace loopbank::ops
