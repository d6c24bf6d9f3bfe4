#pragma once
/// Softmax over rows of scores in vector code: those of the cross-entropy, which come in blocks of
/// the vocabulary, and those of a memory read. Free of ATen; a row of a few thousand values stays
/// in the first-level cache while it is read two or three times.

#include <cstddef>
#include <cstdint>
#include <limits>

#include "loopbank/ops/simd/elementwise_values.h"

namespace loopbank::ops {

/// What is known of -log softmax(logits)[target] once some blocks of the vocabulary were seen.
struct RowLoss {
  float max = std::numeric_limits<float>::lowest();
  float sum = 0.0F;           ///< of exp(logit - max)
  float target_logit = 0.0F;  ///< once its block was seen
};

/// Logits [rows, columns] of the tokens `first_token` to `first_token + columns`.
struct LogitBlock {
  Values logits;
  size_t stride = 0;  ///< elements from a row to the next
  size_t columns = 0;
  int64_t first_token = 0;
};

/// Adds a block to the losses of the rows `first` to `last`.
/// @param targets  [rows]  a token each; one that no block holds leaves its target_logit as it is
void add_block_to_losses(const LogitBlock& block, const int64_t* targets, RowLoss* losses,
                         size_t first, size_t last);

/// Puts (softmax(logits) - onehot(target)) * weight in the place of the logits, 0 in rows whose
/// target is `ignore`. The losses are those of all blocks.
void cross_entropy_gradient(const LogitBlock& block, const int64_t* targets, int64_t ignore,
                            float weight, const RowLoss* losses, size_t first, size_t last);

/// Scores [rows, slots] of a memory read and what becomes of them.
struct ReadScores {
  float* scores = nullptr;  ///< [rows, slots] fp32; overwritten
  Values weights;           ///< [rows, slots] softmax(scale scores); may be `scores`
  size_t slots = 0;
  float scale = 1.0F;
};

/// Weights of the rows `first` to `last`.
void read_weights(const ReadScores& read, size_t first, size_t last);

/// Weights p of a memory read, and the gradients on the way back to its scores.
struct ReadGradients {
  ConstValues weights;                     ///< [rows, slots]
  const float* weight_gradient = nullptr;  ///< [rows, slots] fp32, dp
  Values score_gradient;  ///< [rows, slots] scale p (dp - <p, dp>); may be `weight_gradient`
  size_t slots = 0;
  float scale = 1.0F;
};

/// Gradients of the scores of the rows `first` to `last`.
void read_score_gradient(const ReadGradients& read, size_t first, size_t last);

}  // namespace loopbank::ops
