#pragma once
/// What self_attention does to a tile of scores between two matrix products, in vector code. Free
/// of ATen.

#include <cstddef>
#include <cstdint>

#include "loopbank/ops/simd/elementwise_values.h"

namespace loopbank::ops {

/// Rows of scores take a multiple of this many elements, so that no vector runs into the next one.
/// They follow each other without a gap: oneDNN has its tile kernels (AMX) for dense matrices
/// alone.
inline constexpr size_t kScoreStep = 32;

/// Queries of a tile and keys of a block, which end at multiples of kScoreStep: scores of both in
/// fp32 and the weights made of them stay in the second-level cache.
inline constexpr int64_t kScoreTileRows = 64;
inline constexpr int64_t kScoreBlockColumns = 512;
static_assert(kScoreTileRows % kScoreStep == 0);
/// A tile never reads a block that starts behind its first row.
static_assert(kScoreBlockColumns % kScoreTileRows == 0);

// Maxima and log-sums count in units of the scores: where one score is all of a sum, the log-sum is
// that score to the bit and its weight exactly 1, however large scores are.

/// Scores q k of a block of keys for a tile of queries, rows of `stride` elements. Row r sees the
/// first `visible + r` columns, or all.
struct ScoreTile {
  float* scores = nullptr;  ///< [rows, columns] fp32, overwritten
  Values weights = {};      ///< [rows, columns] compute dtype; fp32 may lie in `scores`
  size_t stride = 0;        ///< a multiple of kScoreStep, at least columns
  size_t rows = 0;
  size_t columns = 0;
  size_t visible = 1;  ///< at least 1
  float scale = 1.0F;  ///< 1 / sqrt d
};

/// What is known of each row of a tile once some blocks of keys were seen.
struct OnlineSoftmax {
  float* max = nullptr;      ///< [rows] largest score
  float* sum = nullptr;      ///< [rows] of exp(scale * (score - max))
  float* results = nullptr;  ///< [rows, width] fp32, sum of weights times values
  size_t width = 0;
  bool first = true;  ///< block: what the rows hold is not read
};

/// weights = exp(scale * (score - max)), 0 where a row does not see; max, sum and the results
/// of the blocks before follow a larger maximum.
void softmax_tile(const ScoreTile& tile, const OnlineSoftmax& state);

/// After the last block, of the first `rows` rows: out = results / sum, rows of `out_stride`
/// elements, and log_sum = log(sum exp(scale * score)) / scale.
void finish_softmax(const OnlineSoftmax& state, size_t rows, float scale, Values out,
                    size_t out_stride, float* log_sums);

/// What the backward pass knows of a tile.
struct ScoreGradient {
  const float* log_sums = nullptr;    ///< [rows] as finish_softmax gives them
  const float* deltas = nullptr;      ///< [rows] <do, o>
  float* weight_gradients = nullptr;  ///< [rows, columns] <do, v> fp32, overwritten
  Values score_gradients =
      {};  ///< [rows, columns] compute dtype; fp32 may lie in `weight_gradients`
};

/// weights = exp(scale * (score - log_sum)), score_gradients = weights * (weight_gradients -
/// delta), both 0 where a row does not see. The factor `scale` of the gradient is left to who uses
/// it.
void score_gradient_tile(const ScoreTile& tile, const ScoreGradient& gradient);

/// dots[r] = <a_r, b_r> of rows of `width` values, `stride` elements apart.
void dots_of_rows(ConstValues a, ConstValues b, size_t stride, size_t rows, size_t width,
                  float* dots);

/// Dense fp32 rows of `width` values to rows of `stride` elements.
void store_rows(const float* from, size_t rows, size_t width, Values to, size_t stride);

}  // namespace loopbank::ops
