#include "loopbank/ops/self_attention_rotary_kernels.h"

#include <cmath>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/ops/self_attention_rotary_kernels.cpp"
#include <hwy/foreach_target.h>

#include "loopbank/ops/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

/// Values i .. i + count of both halves of a row.
struct Pair {
  FloatVector first;
  FloatVector second;
};

template <typename T>
HWY_INLINE Pair load_pair(const T* row, size_t half, size_t i, size_t count) {
  return {load(row + i, count), load(row + half + i, count)};
}

template <typename T>
HWY_INLINE void store_pair(Pair v, T* row, size_t half, size_t i, size_t count) {
  store(v.first, row + i, count);
  store(v.second, row + half + i, count);
}

HWY_INLINE Pair rotate(Pair x, FloatVector cosine, FloatVector sine) {
  return {hn::NegMulAdd(x.second, sine, hn::Mul(x.first, cosine)),
          hn::MulAdd(x.first, sine, hn::Mul(x.second, cosine))};
}

/// Rotates row r into `rows.rotated` and gives 1 / sqrt(mean square + eps). visit(i, count, pair)
/// sees each rotated pair.
template <typename T, typename Visit>
HWY_INLINE float rotate_row(const RotaryRows& rows, const T* x, size_t r, const Visit& visit) {
  const size_t half = rows.width / 2;
  const auto* const cosines = rows.cosines + r * half;
  const auto* const sines = rows.sines + r * half;
  auto squares = set(0.0F);
  for_each_vector(half, [&](size_t i, size_t count) HWY_ATTR {
    const auto rotated = rotate(load_pair(x + r * rows.stride, half, i, count),
                                load(cosines + i, count), load(sines + i, count));
    store_pair(rotated, rows.rotated, half, i, count);
    squares = hn::MulAdd(rotated.first, rotated.first, squares);
    squares = hn::MulAdd(rotated.second, rotated.second, squares);
    visit(i, count, rotated);
  });
  const float mean_square = sum_of_lanes(squares) / static_cast<float>(rows.width);
  return 1.0F / std::sqrt(mean_square + rows.eps);
}

template <typename T>
HWY_INLINE void norm_row(const RotaryRows& rows, const T* x, size_t r, T* y) {
  const float inverse = rotate_row(rows, x, r, [](size_t, size_t, Pair) HWY_ATTR {});
  const auto scale = set(inverse);
  for_each_vector(rows.width, [&, scale](size_t i, size_t count) HWY_ATTR {
    const auto normed = hn::Mul(load(rows.rotated + i, count), scale);
    store(hn::Mul(normed, load(rows.weight + i, count)), y + r * rows.width + i, count);
  });
}

/// With u the rotated row, g = dy w and n = 1 / sqrt(mean square): du = n (g - u n^2 mean(g u)),
/// dweight += dy u n, and dx = du rotated back.
template <typename T>
HWY_INLINE void norm_backward_row(const RotaryRows& rows, const RotaryGradient& gradient,
                                  const T* x, size_t r, T* dx) {
  const size_t half = rows.width / 2;
  const auto* const dy = gradient.dy + r * rows.width;
  const auto scale = set(gradient.scale);
  const auto slope_at = [=](size_t i, size_t count) HWY_ATTR {
    const auto slope = load_pair(dy, half, i, count);
    return Pair{hn::Mul(slope.first, scale), hn::Mul(slope.second, scale)};
  };
  const auto weighted = [&](Pair slope, size_t i, size_t count) HWY_ATTR {
    const auto weight = load_pair(rows.weight, half, i, count);
    return Pair{hn::Mul(slope.first, weight.first), hn::Mul(slope.second, weight.second)};
  };
  auto product = set(0.0F);
  const float inverse = rotate_row(rows, x, r, [&](size_t i, size_t count, Pair u) HWY_ATTR {
    const auto g = weighted(slope_at(i, count), i, count);
    product = hn::MulAdd(g.first, u.first, product);
    product = hn::MulAdd(g.second, u.second, product);
  });
  const auto norm = set(inverse);
  const auto along =
      set(sum_of_lanes(product) / static_cast<float>(rows.width) * inverse * inverse);
  const auto* const cosines = rows.cosines + r * half;
  const auto* const sines = rows.sines + r * half;
  for_each_vector(half, [&, norm, along](size_t i, size_t count) HWY_ATTR {
    const auto u = load_pair(rows.rotated, half, i, count);
    const auto slope = slope_at(i, count);
    const auto g = weighted(slope, i, count);
    const auto sum = load_pair(gradient.dweight, half, i, count);
    store_pair({hn::MulAdd(slope.first, hn::Mul(u.first, norm), sum.first),
                hn::MulAdd(slope.second, hn::Mul(u.second, norm), sum.second)},
               gradient.dweight, half, i, count);
    const Pair du = {hn::Mul(norm, hn::NegMulAdd(u.first, along, g.first)),
                     hn::Mul(norm, hn::NegMulAdd(u.second, along, g.second))};
    const auto back = rotate(du, load(cosines + i, count), hn::Neg(load(sines + i, count)));
    store_pair(back, dx + r * rows.stride, half, i, count);
  });
}

void RotaryNormRows(const RotaryRows& rows, Values y) {
  with_type(y, [&](auto* to) HWY_ATTR {
    const auto* const x = static_cast<const std::remove_pointer_t<decltype(to)>*>(rows.x.data);
    for (size_t r = 0; r < rows.rows; ++r) {
      norm_row(rows, x, r, to);
    }
  });
}

void RotaryNormBackwardRows(const RotaryRows& rows, const RotaryGradient& gradient) {
  with_type(gradient.dx, [&](auto* dx) HWY_ATTR {
    const auto* const x = static_cast<const std::remove_pointer_t<decltype(dx)>*>(rows.x.data);
    for (size_t r = 0; r < rows.rows; ++r) {
      norm_backward_row(rows, gradient, x, r, dx);
    }
  });
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank::ops {

HWY_EXPORT(RotaryNormRows);
HWY_EXPORT(RotaryNormBackwardRows);

void rotary_norm_rows(const RotaryRows& rows, Values y) {
  HWY_DYNAMIC_DISPATCH(RotaryNormRows)(rows, y);
}

void rotary_norm_backward_rows(const RotaryRows& rows, const RotaryGradient& gradient) {
  HWY_DYNAMIC_DISPATCH(RotaryNormBackwardRows)(rows, gradient);
}

}  // namespace loopbank::ops
#endif
