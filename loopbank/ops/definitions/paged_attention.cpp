#include "loopbank/ops/paged_attention.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstring>

#include "loopbank/ops/attention.h"
#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

void check_paged_inputs(const at::Tensor& q, std::span<const PagedRow> rows,
                        const AttentionHeads& heads) {
  expect_dimensions("paged_attention", "q", q, 3);
  if (heads.query < 1 || heads.key < 1 || heads.query % heads.key != 0) {
    fail(ErrorCode::kShape,
         "paged_attention: expected H a multiple of H_kv, both at least 1, got {} and {}.",
         heads.query, heads.key);
  }
  expect_shape("paged_attention", "q", q,
               {static_cast<int64_t>(rows.size()), heads.query, q.size(2)});
  if (q.size(2) % 2 != 0) {
    fail(ErrorCode::kShape, "paged_attention: expected heads of even width (pairs), got {}.",
         q.size(2));
  }
  if (q.scalar_type() != at::kFloat && q.scalar_type() != at::kBFloat16) {
    fail(ErrorCode::kDtype, "paged_attention: expected q in fp32 or bf16, got {}.",
         c10::toString(q.scalar_type()));
  }
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto& row = rows[r];
    if (row.length < 0 || row.total() < 1) {
      fail(ErrorCode::kShape, "paged_attention: expected at least one token in row {}, got {}.", r,
           row.total());
    }
    if ((row.own_key == nullptr) != (row.own_value == nullptr)) {
      fail(
          ErrorCode::kShape,
          "paged_attention: expected row {} to have both a key and a value of its own, or neither, "
          "got only a {}.",
          r, row.own_key != nullptr ? "key" : "value");
    }
    if (row.length > 0 && row.blocks == nullptr) {
      fail(ErrorCode::kShape, "paged_attention: expected blocks of {} tokens in row {}, got none.",
           row.length, r);
    }
  }
}

/// What a row sees, in memory of its own.
struct GatheredTokens {
  at::Tensor keys;    ///< [S, H_kv, d]
  at::Tensor values;  ///< [S, H_kv, d]
};

/// Read in main memory, then brought to the device of `like`.
GatheredTokens gather(const PagedRow& row, const PageLayout& layout, const at::Tensor& like) {
  const auto shape = {row.total(), layout.key_heads, layout.width};
  const auto options = like.options().device(at::kCPU);
  const GatheredTokens tokens{at::empty(shape, options), at::empty(shape, options)};
  const auto bytes =
      static_cast<size_t>(layout.key_heads * layout.width) * (layout.is_bf16 ? 2 : 4);
  auto* keys = static_cast<char*>(tokens.keys.data_ptr());
  auto* values = static_cast<char*>(tokens.values.data_ptr());
  for (int64_t token = 0; token < row.length; ++token, keys += bytes, values += bytes) {
    const auto* const page = static_cast<const std::byte*>(row.blocks[token / kPageTokens]);
    load_token(layout, page + row.offset, token % kPageTokens, keys, values);
  }
  if (row.own_key != nullptr) {
    std::memcpy(keys, row.own_key, bytes);
    std::memcpy(values, row.own_value, bytes);
  }
  return {tokens.keys.to(like.device()), tokens.values.to(like.device())};
}

/// Rows from r on that are consecutive tokens of one text: each sees one token more than the row
/// before it. At least 1.
int64_t consecutive_rows(std::span<const PagedRow> rows, size_t r) {
  const auto& first = rows[r];
  size_t count = 1;
  while (first.own_key == nullptr && r + count < rows.size() &&
         rows[r + count].blocks == first.blocks && rows[r + count].offset == first.offset &&
         rows[r + count].own_key == nullptr &&
         rows[r + count].length == first.length + static_cast<int64_t>(count)) {
    ++count;
  }
  return static_cast<int64_t>(count);
}

/// [S, H_kv, d] to [1, H_kv, S, d].
at::Tensor by_head(const at::Tensor& tokens) {
  return tokens.transpose(0, 1).unsqueeze(0);
}

}  // namespace

at::Tensor paged_attention(const at::Tensor& q, std::span<const PagedRow> rows,
                           const AttentionHeads& heads) {
  check_paged_inputs(q, rows, heads);
  if (takes_fused(q)) {
    return cpu::paged_attention(q, rows, heads);
  }
  const PageLayout layout{
      .key_heads = heads.key, .width = q.size(2), .is_bf16 = q.scalar_type() == at::kBFloat16};
  auto out = at::empty({q.size(0), heads.query * q.size(2)}, q.options());  // [R, H d]
  for (int64_t r = 0; r < q.size(0);) {
    const auto count = consecutive_rows(rows, static_cast<size_t>(r));
    const auto tokens = gather(rows[static_cast<size_t>(r + count - 1)], layout, q);
    const auto mixed = causal_attention(by_head(q.narrow(0, r, count)), by_head(tokens.keys),
                                        by_head(tokens.values));  // [1, H, count, d]
    out.narrow(0, r, count).copy_(mixed[0].transpose(0, 1).reshape({count, -1}));
    r += count;
  }
  return out;
}

}  // namespace loopbank::ops
