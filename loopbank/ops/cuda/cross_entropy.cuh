#pragma once
/// Cross-entropy of rows of logits and its gradient in their place: a block a row, which is read from
/// memory once, for maximum and sum together, and once more from the second-level cache, which the
/// rows under way fit in: 264 of 100 KB at V 50304 in bf16.

#include "loopbank/ops/cuda/rows.cuh"

namespace loopbank::ops::cuda {

inline constexpr int kCrossEntropyThreads = 512;
inline constexpr int64_t kRowsUnderWay = kMostPartialSums;

template <class T>
struct CrossEntropyOf {
  Global<T> logits;
  Global<const int64_t> targets;
  Global<float> losses;
  Global<const float> scale;
  bool writes_gradient;
  int64_t ignore, rows, width;
};

/// The maximum of some logits and sum exp(logit - maximum); of none: -infinity and 0.
struct SoftmaxSum {
  float most;
  float sum;
};

/// exp(logit - from) summed up, as if it had been exp(logit - to).
LOOPBANK_DEVICE float rescaled(float sum, float from, float to) {
  return from == to ? sum : sum * exponential(from - to);
}

LOOPBANK_DEVICE SoftmaxSum joined(const SoftmaxSum& a, const SoftmaxSum& b) {
  const float most = larger(a.most, b.most);
  return {most, rescaled(a.sum, a.most, most) + rescaled(b.sum, b.most, most)};
}

LOOPBANK_DEVICE SoftmaxSum joined_over_block(SoftmaxSum own) {
  constexpr int kWarps = kCrossEntropyThreads / kLanes;
  LOOPBANK_SHARED(float, most, kWarps);
  LOOPBANK_SHARED(float, sum, kWarps);
  for (int mask = kLanes / 2; mask > 0; mask /= 2) {
    const SoftmaxSum other = {shuffle_xor(own.most, mask), shuffle_xor(own.sum, mask)};
    own = joined(own, other);
  }
  sync_threads();  // those of the row before have been read
  if (lane() == 0) {
    most[thread_index() / kLanes] = own.most;
    sum[thread_index() / kLanes] = own.sum;
  }
  sync_threads();
  own = {most[0], sum[0]};
  for (int warp = 1; warp < threads_per_block() / kLanes; ++warp) {
    own = joined(own, {most[warp], sum[warp]});
  }
  return own;
}

template <class T, int kVector>
LOOPBANK_DEVICE SoftmaxSum softmax_sum_of_row(const CrossEntropyOf<T>& call, int64_t row) {
  SoftmaxSum own = {-INFINITY, 0.0F};
  for (int64_t column = int64_t{thread_index()} * kVector; column < call.width;
       column += int64_t{threads_per_block()} * kVector) {
    float logits[kVector];
    call.logits.load(row * call.width + column, logits);
    float most = own.most;
    LOOPBANK_UNROLL
    for (int i = 0; i < kVector; ++i) {
      most = larger(most, logits[i]);
    }
    float sum = 0.0F;
    LOOPBANK_UNROLL
    for (int i = 0; i < kVector; ++i) {
      sum += exponential(logits[i] - most);
    }
    own = {most, rescaled(own.sum, own.most, most) + sum};
  }
  return joined_over_block(own);
}

template <class T, int kVector>
LOOPBANK_KERNEL(kCrossEntropyThreads)
cross_entropy_rows(CrossEntropyOf<T> call) {
  const float scale = call.scale ? call.scale.value(0) : 1.0F;
  for (int64_t row = block_index(); row < call.rows; row += num_blocks()) {
    const int64_t target = call.targets.value(row);
    const bool counts = target != call.ignore;
    const auto softmax = softmax_sum_of_row<T, kVector>(call, row);
    if (thread_index() == 0) {
      float logit[1] = {0.0F};
      if (counts) {
        call.logits.load(row * call.width + target, logit);
      }
      call.losses.store(row, {counts ? logarithm(softmax.sum) + softmax.most - logit[0] : 0.0F});
    }
    if (!call.writes_gradient) {
      continue;
    }
    sync_threads();  // the target's logit has been read
    const float factor = counts ? scale / softmax.sum : 0.0F;
    for (int64_t column = int64_t{thread_index()} * kVector; column < call.width;
         column += int64_t{threads_per_block()} * kVector) {
      float logits[kVector];
      call.logits.load(row * call.width + column, logits);
      LOOPBANK_UNROLL
      for (int i = 0; i < kVector; ++i) {
        logits[i] = factor * exponential(logits[i] - softmax.most) -
                    (counts && column + i == target ? scale : 0.0F);
      }
      call.logits.store(row * call.width + column, logits);
    }
  }
}

}  // namespace loopbank::ops::cuda
