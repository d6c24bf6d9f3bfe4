#include "loopbank/ops/simd/self_attention_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/ops/simd/self_attention_kernels.cpp"
#include <hwy/foreach_target.h>

#include "loopbank/ops/simd/self_attention-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

constexpr float kLog2E = 1.44269504F;

HWY_INLINE Vectors load_two(const float* from) {
  return {load(from), load(from + lanes())};
}

// No vector of a row reaches into the next one.
static_assert(kScoreStep % (2 * hn::MaxLanes(Floats())) == 0);

/// The first `count` of both, the others `other`.
HWY_INLINE Vectors keep_first_of(Vectors v, size_t count, FloatVector other) {
  const Floats d;
  const size_t step = lanes();
  const auto in_a = hn::FirstN(d, std::min(count, step));
  const auto in_b = hn::FirstN(d, count > step ? count - step : 0);
  return {hn::IfThenElse(in_a, v.a, other), hn::IfThenElse(in_b, v.b, other)};
}

/// visit(i, is_last, count) for the pairs of vectors that cover n values; the last holds `count`.
template <typename Visit>
HWY_INLINE void for_each_two(size_t n, const Visit& visit) {
  const size_t step = 2 * lanes();
  size_t i = 0;
  for (; i + step < n; i += step) {
    visit(i, /*is_last=*/false, step);
  }
  visit(i, /*is_last=*/true, n - i);
}

/// Zeros from where for_each_two(visible) ended to the end of the row.
template <typename T>
HWY_INLINE void clear_rest(T* row, size_t visible, size_t columns) {
  const size_t step = 2 * lanes();
  const auto zero = set(0.0F);
  for (size_t i = (visible + step - 1) / step * step; i < columns; i += step) {
    store_two({zero, zero}, row + i);
  }
}

HWY_INLINE float largest_score(const float* row, size_t visible) {
  const auto lowest = set(std::numeric_limits<float>::lowest());
  auto a = lowest;
  auto b = lowest;
  for_each_two(visible, [&](size_t i, bool is_last, size_t count) HWY_ATTR {
    auto v = load_two(row + i);
    if (is_last) {
      v = keep_first_of(v, count, lowest);
    }
    a = hn::Max(v.a, a);
    b = hn::Max(v.b, b);
  });
  return max_of_lanes(hn::Max(a, b));
}

/// 2^(by * (score - center)). The score that is the center comes out as exactly 1, however large.
HWY_INLINE FloatVector weight_of(FloatVector score, FloatVector center, FloatVector by) {
  return exp2_below_zero(hn::Mul(hn::Sub(score, center), by));
}

/// The weights of a row, and their sum.
template <typename T>
HWY_INLINE float weights_of_row(const float* row, size_t visible, float by, float center,
                                T* weights) {
  const auto factor = set(by);
  const auto level = set(center);
  auto a = set(0.0F);
  auto b = a;
  for_each_two(visible, [&](size_t i, bool is_last, size_t count) HWY_ATTR {
    auto v = load_two(row + i);
    v = {weight_of(v.a, level, factor), weight_of(v.b, level, factor)};
    if (is_last) {
      v = keep_first_of(v, count, set(0.0F));
    }
    store_two(v, weights + i);
    a = hn::Add(a, v.a);
    b = hn::Add(b, v.b);
  });
  return sum_of_lanes(hn::Add(a, b));
}

HWY_INLINE void scale_row(float* row, size_t width, float by) {
  const auto factor = set(by);
  for_each_vector(width, [=](size_t i, size_t count) HWY_ATTR {
    store(hn::Mul(load(row + i, count), factor), row + i, count);
  });
}

void SoftmaxTile(const ScoreTile& tile, const OnlineSoftmax& state) {
  const float by = tile.scale * kLog2E;
  with_type(tile.weights, [&](auto* all_weights) HWY_ATTR {
    for (size_t r = 0; r < tile.rows; ++r) {
      const auto* const row = tile.scores + r * tile.stride;
      auto* const weights = all_weights + r * tile.stride;
      const size_t visible = std::min(tile.visible + r, tile.columns);
      float max = largest_score(row, visible);
      float before = 0.0F;
      if (!state.first) {
        max = std::max(max, state.max[r]);
        const float shrink = std::exp2((state.max[r] - max) * by);
        before = state.sum[r] * shrink;
        if (shrink != 1.0F) {
          scale_row(state.results + r * state.width, state.width, shrink);
        }
      }
      state.max[r] = max;
      state.sum[r] = before + weights_of_row(row, visible, by, max, weights);
      clear_rest(weights, visible, tile.columns);
    }
  });
}

void FinishSoftmax(const OnlineSoftmax& state, size_t rows, float scale, Values out,
                   size_t out_stride, float* log_sums) {
  with_type(out, [&](auto* to) HWY_ATTR {
    for (size_t r = 0; r < rows; ++r) {
      const auto factor = set(1.0F / state.sum[r]);
      const auto* const result = state.results + r * state.width;
      auto* const row = to + r * out_stride;
      for_each_vector(state.width, [=](size_t i, size_t count) HWY_ATTR {
        store(hn::Mul(load(result + i, count), factor), row + i, count);
      });
      log_sums[r] = state.max[r] + std::log(state.sum[r]) / scale;
    }
  });
}

template <typename T>
HWY_INLINE void gradient_of_row(const ScoreTile& tile, const ScoreGradient& gradient, size_t r,
                                T* weights, T* score_gradients) {
  const auto* const scores = tile.scores + r * tile.stride;
  const auto* const weight_gradients = gradient.weight_gradients + r * tile.stride;
  const size_t visible = std::min(tile.visible + r, tile.columns);
  const auto factor = set(tile.scale * kLog2E);
  const auto level = set(gradient.log_sums[r]);
  const auto delta = set(gradient.deltas[r]);
  for_each_two(visible, [&](size_t i, bool is_last, size_t count) HWY_ATTR {
    const auto score = load_two(scores + i);
    const auto dw = load_two(weight_gradients + i);
    Vectors p = {weight_of(score.a, level, factor), weight_of(score.b, level, factor)};
    Vectors ds = {hn::Mul(p.a, hn::Sub(dw.a, delta)), hn::Mul(p.b, hn::Sub(dw.b, delta))};
    if (is_last) {
      p = keep_first_of(p, count, set(0.0F));
      ds = keep_first_of(ds, count, set(0.0F));
    }
    store_two(p, weights + i);
    store_two(ds, score_gradients + i);
  });
  clear_rest(weights, visible, tile.columns);
  clear_rest(score_gradients, visible, tile.columns);
}

void ScoreGradientTile(const ScoreTile& tile, const ScoreGradient& gradient) {
  with_type(tile.weights, [&](auto* weights) HWY_ATTR {
    auto* const score_gradients = static_cast<decltype(weights)>(gradient.score_gradients.data);
    for (size_t r = 0; r < tile.rows; ++r) {
      gradient_of_row(tile, gradient, r, weights + r * tile.stride,
                      score_gradients + r * tile.stride);
    }
  });
}

void DotsOfRows(ConstValues a, ConstValues b, size_t stride, size_t rows, size_t width,
                float* dots) {
  with_type(a, [&](const auto* left) HWY_ATTR {
    const auto* const right = static_cast<decltype(left)>(b.data);
    for (size_t r = 0; r < rows; ++r) {
      const auto* const x = left + r * stride;
      const auto* const y = right + r * stride;
      dots[r] = sum_over(width, [=](FloatVector sum, size_t i, size_t count) HWY_ATTR {
        return hn::MulAdd(load(x + i, count), load(y + i, count), sum);
      });
    }
  });
}

void StoreRows(const float* from, size_t rows, size_t width, Values to, size_t stride) {
  with_type(to, [&](auto* all) HWY_ATTR {
    for (size_t r = 0; r < rows; ++r) {
      const auto* const row = from + r * width;
      auto* const target = all + r * stride;
      for_each_vector(width, [=](size_t i, size_t count)
                                 HWY_ATTR { store(load(row + i, count), target + i, count); });
    }
  });
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank::ops {

HWY_EXPORT(SoftmaxTile);
HWY_EXPORT(FinishSoftmax);
HWY_EXPORT(ScoreGradientTile);
HWY_EXPORT(DotsOfRows);
HWY_EXPORT(StoreRows);

void softmax_tile(const ScoreTile& tile, const OnlineSoftmax& state) {
  HWY_DYNAMIC_DISPATCH(SoftmaxTile)(tile, state);
}

void finish_softmax(const OnlineSoftmax& state, size_t rows, float scale, Values out,
                    size_t out_stride, float* log_sums) {
  HWY_DYNAMIC_DISPATCH(FinishSoftmax)(state, rows, scale, out, out_stride, log_sums);
}

void score_gradient_tile(const ScoreTile& tile, const ScoreGradient& gradient) {
  HWY_DYNAMIC_DISPATCH(ScoreGradientTile)(tile, gradient);
}

void dots_of_rows(ConstValues a, ConstValues b, size_t stride, size_t rows, size_t width,
                  float* dots) {
  HWY_DYNAMIC_DISPATCH(DotsOfRows)(a, b, stride, rows, width, dots);
}

void store_rows(const float* from, size_t rows, size_t width, Values to, size_t stride) {
  HWY_DYNAMIC_DISPATCH(StoreRows)(from, rows, width, to, stride);
}

}  // namespace loopbank::ops
#endif
