#pragma once
/// paged_attention (paged_attention.h) of a few rows on one key head, in vector code. Free of ATen.

#include <cstddef>
#include <cstdint>

#include "loopbank/ops/pages.h"
#include "loopbank/ops/simd/elementwise_values.h"

namespace loopbank::ops {

/// Tokens between two corrections of the largest score: a multiple of kPageTokens. The steps start
/// at multiples of it, so that a row's are the same wherever it stands.
inline constexpr size_t kPagedStepTokens = 64;

/// Queries that share a pass over keys and values; a row's own are never parted.
inline constexpr size_t kPagedQueries = 16;

/// Scores of up to four queries in bf16 with the tokens of up to kPagedStepTokens / 16 blocks.
struct PagedScores {
  const uint16_t* query[4] = {};
  size_t num_queries = 0;
  const uint16_t* keys[kPagedStepTokens / kPageTokens] = {};  ///< of a head in each block
  size_t num_blocks = 0;
  size_t width = 0;             ///< d
  bool fetches_values = false;  ///< whether to fetch the head's values ahead of their use
  float* scores = nullptr;      ///< [num_queries, kPagedStepTokens]
};

/// Scores by instructions that not all CPUs have: q k in fp32, rounded otherwise than by others, but
/// each the same in any company.
struct PagedDots {
  void (*score_pages)(const PagedScores& call);
  float (*score_token)(const uint16_t* key, const uint16_t* query, size_t width);
};

/// Those of this CPU; null where it has none.
[[nodiscard]] const PagedDots* paged_dots();

/// Rows of queries and what they see.
struct PagedQueries {
  ConstValues query = {};  ///< [rows, H_kv, group, d]
  const PagedRow* rows = nullptr;
  size_t key_heads = 0;             ///< H_kv
  size_t group = 0;                 ///< H / H_kv
  size_t width = 0;                 ///< d
  Values out = {};                  ///< [rows, H_kv, group, d], the dtype of the queries
  const PagedDots* dots = nullptr;  ///< null: scores of bf16 in fp32

  /// Rows taken together at most.
  [[nodiscard]] constexpr size_t rows_together() const {
    return group < kPagedQueries ? kPagedQueries / group : 1;
  }
  /// fp32 values to work in.
  [[nodiscard]] constexpr size_t scratch_values() const {
    return rows_together() * group * (2 * width + kPagedStepTokens + 3);
  }
};

/// Rows first to last - 1 on one key head. Runs of rows with the same `blocks` share a pass.
///
/// @param scratch  [scratch_values()], aligned to 64 bytes
void paged_attention_of_head(const PagedQueries& queries, size_t first, size_t last,
                             size_t key_head, float* scratch);

}  // namespace loopbank::ops
