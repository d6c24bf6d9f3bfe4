#pragma once
/// Blocks of keys and values, each of sixteen tokens of one layer and loop: what a cache hands out
/// and paged_attention.h reads. Free of ATen.
///
/// A block holds for each of H_kv key heads the keys [d, 16], then the values [16, d], fp32 or
/// bf16: the scores of sixteen tokens are one vector, whatever d is, and a token's values are one
/// run. In bf16 two rows of keys lie between each other, [d/2, 16, 2]: a vector then brings a pair
/// of each token, as dot products of bf16 take them. A head's part is contiguous, so a thread that
/// takes a key head reads whole pages.
/// Rejected: keys [16, d], whose scores end in a sum over lanes for each token.

#include <cstddef>
#include <cstdint>

namespace loopbank::ops {

/// Tokens of a block.
inline constexpr int64_t kPageTokens = 16;

/// What all blocks of a cache have in common.
struct PageLayout {
  int64_t key_heads = 0;  ///< H_kv
  int64_t width = 0;      ///< d, even
  bool is_bf16 = false;   ///< else fp32

  /// Of a block: 2 * 16 * H_kv * d.
  [[nodiscard]] constexpr int64_t values() const { return 2 * kPageTokens * key_heads * width; }
  [[nodiscard]] constexpr int64_t bytes() const { return values() * (is_bf16 ? 2 : 4); }
};

/// Writes a token's keys and values to its place in a block; the other places are not touched.
///
/// @param block  layout.bytes() bytes, aligned to their values
/// @param index  of the token in the block, 0 to 15
/// @param key, value  [H_kv, d] each in the layout's dtype: a part of a row of qkv is that
void store_token(const PageLayout& layout, void* block, int64_t index, const void* key,
                 const void* value);

/// Reads back what store_token wrote.
///
/// @param key, value  [H_kv, d] each, written to
void load_token(const PageLayout& layout, const void* block, int64_t index, void* key, void* value);

/// What one row of queries sees: tokens 0 to length - 1 in blocks and, where it is given, one more
/// after them that is in no block, itself. Places behind `length` are never looked at.
struct PagedRow {
  /// [ceil(length / 16)] pages in order; null for length 0.
  const void* const* blocks = nullptr;
  int64_t offset = 0;  ///< bytes from the start of each page to its block
  int64_t length = 0;
  const void* own_key = nullptr;    ///< [H_kv, d] in the dtype of the blocks, or null
  const void* own_value = nullptr;  ///< [H_kv, d], given where own_key is

  /// Tokens seen, at least 1.
  [[nodiscard]] constexpr int64_t total() const { return length + (own_key != nullptr ? 1 : 0); }
};

}  // namespace loopbank::ops
