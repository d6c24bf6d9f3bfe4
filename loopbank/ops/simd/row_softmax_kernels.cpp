#include "loopbank/ops/simd/row_softmax_kernels.h"

#include <algorithm>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/ops/simd/row_softmax_kernels.cpp"
#include <hwy/foreach_target.h>

#include "loopbank/ops/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

/// exp(x) for x <= 0, to 1e-7 of the result near 0: 2^n 2^f with x log2(e) = n + f, |f| <= 1/2.
/// Half the work of Highway's, which also makes 0 of NaN where a loss has to show it.
HWY_INLINE FloatVector exp_below_zero(FloatVector x) {
  const hn::RebindToUnsigned<Floats> d32;
  const auto log2_e = set(1.44269504F);
  // So large that its last place is 1: the sum is rounded to a whole number, and the last bits of
  // its representation are those of n + 127, the exponent field of 2^n.
  const auto rounder = set(12582912.0F + 127.0F);
  const auto sum = hn::MulAdd(x, log2_e, rounder);
  const auto f = hn::MulSub(x, log2_e, hn::Sub(sum, rounder));
  const auto power_of_n = hn::BitCast(Floats(), hn::ShiftLeft<23>(hn::BitCast(d32, sum)));
  // (2^f - 1) / f by Remez's exchange, 3e-9 off; 2^0 is exactly 1.
  auto power_of_f = hn::MulAdd(set(1.5594677540e-4F), f, set(1.3406643905e-3F));
  power_of_f = hn::MulAdd(power_of_f, f, set(9.6176929749e-3F));
  power_of_f = hn::MulAdd(power_of_f, f, set(5.5503105510e-2F));
  power_of_f = hn::MulAdd(power_of_f, f, set(2.4022652783e-1F));
  power_of_f = hn::MulAdd(power_of_f, f, set(6.9314721497e-1F));
  power_of_f = hn::MulAdd(power_of_f, f, set(1.0F));
  // Below -86 the exponent would run out of its bits. NaN compares false and stays.
  const auto power = hn::Mul(power_of_f, power_of_n);
  return hn::IfThenElse(hn::Lt(x, set(-86.0F)), set(0.0F), power);
}

template <typename T>
HWY_INLINE float max_of_row(const T* row, size_t n) {
  const auto lowest = set(std::numeric_limits<float>::lowest());
  const size_t step = lanes();
  auto max0 = lowest;
  auto max1 = lowest;
  size_t i = 0;
  for (; i + 2 * step <= n; i += 2 * step) {
    max0 = hn::Max(max0, load(row + i));
    max1 = hn::Max(max1, load(row + i + step));
  }
  for (; i < n; i += step) {
    const auto v = load(row + i, n - i);
    max0 = hn::Max(max0, hn::IfThenElse(hn::FirstN(Floats(), n - i), v, lowest));
  }
  return max_of_lanes(hn::Max(max0, max1));
}

template <typename T>
HWY_INLINE void add_to_loss(const T* row, size_t n, RowLoss& loss) {
  const float before = loss.max;
  loss.max = std::max(before, max_of_row(row, n));
  const auto center = set(loss.max);
  const float sum = sum_over(n, [=](FloatVector partial, size_t i, size_t count) HWY_ATTR {
    const auto power = exp_below_zero(hn::Sub(load(row + i, count), center));
    return hn::Add(partial, keep_first(power, count));
  });
  loss.sum = loss.sum * hn::GetLane(exp_below_zero(set(before - loss.max))) + sum;
}

/// fp32 of one value.
template <typename T>
HWY_INLINE float value_at(const T* at) {
  return hn::GetLane(load(at, 1));
}

template <typename T>
HWY_INLINE void set_value_at(T* at, float value) {
  store(set(value), at, 1);
}

template <typename T>
HWY_INLINE void gradient_row(T* row, size_t n, const RowLoss& loss, float weight) {
  const auto center = set(loss.max);
  const auto factor = set(weight / loss.sum);
  for_each_vector(n, [=](size_t i, size_t count) HWY_ATTR {
    const auto power = exp_below_zero(hn::Sub(load(row + i, count), center));
    store(hn::Mul(power, factor), row + i, count);
  });
}

void AddBlockToLosses(const LogitBlock& block, const int64_t* targets, RowLoss* losses,
                      size_t first, size_t last) {
  with_type(block.logits, [&](const auto* logits) HWY_ATTR {
    for (size_t r = first; r < last; ++r) {
      const auto* const row = logits + r * block.stride;
      add_to_loss(row, block.columns, losses[r]);
      const auto target = static_cast<size_t>(targets[r] - block.first_token);
      if (target < block.columns) {
        losses[r].target_logit = value_at(row + target);
      }
    }
  });
}

void CrossEntropyGradient(const LogitBlock& block, const int64_t* targets, int64_t ignore,
                          float weight, const RowLoss* losses, size_t first, size_t last) {
  with_type(block.logits, [&](auto* logits) HWY_ATTR {
    for (size_t r = first; r < last; ++r) {
      auto* const row = logits + r * block.stride;
      if (targets[r] == ignore) {
        std::memset(row, 0, block.columns * sizeof(*row));
        continue;
      }
      gradient_row(row, block.columns, losses[r], weight);
      const auto target = static_cast<size_t>(targets[r] - block.first_token);
      if (target < block.columns) {
        // From the sum and not from what was stored: p near 1 is rounded there.
        const auto power = exp_below_zero(set(losses[r].target_logit - losses[r].max));
        set_value_at(row + target, (hn::GetLane(power) / losses[r].sum - 1.0F) * weight);
      }
    }
  });
}

/// weights = softmax(scale scores); the scores are lost.
template <typename T>
HWY_INLINE void softmax_row(float* scores, size_t n, float scale, T* weights) {
  const auto center = set(max_of_row(scores, n));
  const auto by = set(scale);
  const float sum = sum_over(n, [=](FloatVector partial, size_t i, size_t count) HWY_ATTR {
    const auto power = exp_below_zero(hn::Mul(hn::Sub(load(scores + i, count), center), by));
    store(power, scores + i, count);
    return hn::Add(partial, keep_first(power, count));
  });
  const auto factor = set(1.0F / sum);
  for_each_vector(n, [=](size_t i, size_t count) HWY_ATTR {
    store(hn::Mul(load(scores + i, count), factor), weights + i, count);
  });
}

/// to = scale p (dp - <p, dp>).
template <typename T>
HWY_INLINE void score_gradient_row(const T* weights, const float* gradient, size_t n, float scale,
                                   T* to) {
  const auto along = set(sum_over(n, [=](FloatVector partial, size_t i, size_t count) HWY_ATTR {
    return hn::MulAdd(load(weights + i, count), load(gradient + i, count), partial);
  }));
  const auto by = set(scale);
  for_each_vector(n, [=](size_t i, size_t count) HWY_ATTR {
    const auto centred = hn::Sub(load(gradient + i, count), along);
    store(hn::Mul(hn::Mul(load(weights + i, count), centred), by), to + i, count);
  });
}

void ReadWeights(const ReadScores& read, size_t first, size_t last) {
  with_type(read.weights, [&](auto* weights) HWY_ATTR {
    for (size_t at = first * read.slots; at < last * read.slots; at += read.slots) {
      softmax_row(read.scores + at, read.slots, read.scale, weights + at);
    }
  });
}

void ReadScoreGradient(const ReadGradients& read, size_t first, size_t last) {
  with_type(read.weights, [&](const auto* weights) HWY_ATTR {
    auto* const to = static_cast<std::remove_const_t<std::remove_pointer_t<decltype(weights)>>*>(
        read.score_gradient.data);
    for (size_t at = first * read.slots; at < last * read.slots; at += read.slots) {
      score_gradient_row(weights + at, read.weight_gradient + at, read.slots, read.scale, to + at);
    }
  });
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank::ops {

HWY_EXPORT(AddBlockToLosses);
HWY_EXPORT(CrossEntropyGradient);
HWY_EXPORT(ReadWeights);
HWY_EXPORT(ReadScoreGradient);

void add_block_to_losses(const LogitBlock& block, const int64_t* targets, RowLoss* losses,
                         size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(AddBlockToLosses)(block, targets, losses, first, last);
}

void cross_entropy_gradient(const LogitBlock& block, const int64_t* targets, int64_t ignore,
                            float weight, const RowLoss* losses, size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(CrossEntropyGradient)(block, targets, ignore, weight, losses, first, last);
}

void read_weights(const ReadScores& read, size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(ReadWeights)(read, first, last);
}

void read_score_gradient(const ReadGradients& read, size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(ReadScoreGradient)(read, first, last);
}

}  // namespace loopbank::ops
#endif
