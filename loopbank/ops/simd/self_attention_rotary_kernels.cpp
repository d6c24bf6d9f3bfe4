#include "loopbank/ops/simd/self_attention_rotary_kernels.h"

#include <algorithm>
#include <type_traits>

#include <hwy/cache_control.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/ops/simd/self_attention_rotary_kernels.cpp"
#include <hwy/foreach_target.h>

#include "loopbank/ops/simd/self_attention-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

/// Values i .. i + count of both halves of a row.
template <typename T>
HWY_INLINE Vectors load_pair(const T* row, size_t half, size_t i, size_t count) {
  return {load(row + i, count), load(row + half + i, count)};
}

template <typename T>
HWY_INLINE void store_pair(Vectors v, T* row, size_t half, size_t i, size_t count) {
  if (count >= lanes()) {
    store_each(v, row + i, row + half + i);
    return;
  }
  store(v.a, row + i, count);
  store(v.b, row + half + i, count);
}

HWY_INLINE Vectors rotate(Vectors x, FloatVector cosine, FloatVector sine) {
  return {hn::NegMulAdd(x.b, sine, hn::Mul(x.a, cosine)),
          hn::MulAdd(x.a, sine, hn::Mul(x.b, cosine))};
}

constexpr size_t kLine = 64;       ///< bytes
constexpr size_t kRowsAhead = 16;  ///< in memory before they are read

/// A few rows at a time, step by step: done row by row, each would wait for its own square root.
struct Chunk {
  size_t first = 0;
  size_t count = 0;
  HWY_ALIGN float squares[kRotaryChunk] = {};   // sums of a row
  HWY_ALIGN float products[kRotaryChunk] = {};  // sums of gradient * weight * rotated
};

template <typename Visit>
HWY_INLINE void for_each_chunk(const RotaryRows& rows, const Visit& visit) {
  for (size_t first = 0; first < rows.rows; first += kRotaryChunk) {
    Chunk chunk;
    chunk.first = first;
    chunk.count = std::min(kRotaryChunk, rows.rows - first);
    visit(chunk);
  }
}

/// What is normed: the rotated pair, or the pair itself where the norm comes first.
template <NormPlace kPlace>
HWY_INLINE Vectors normed_pair(Vectors x, FloatVector cosine, FloatVector sine) {
  return kPlace == NormPlace::kAfter ? rotate(x, cosine, sine) : x;
}

/// The gradient of what is normed times the weight, from that of the result.
template <NormPlace kPlace>
HWY_INLINE Vectors gradient_pair(Vectors dy, FloatVector cosine, FloatVector sine) {
  return kPlace == NormPlace::kAfter ? dy : rotate(dy, cosine, hn::Neg(sine));
}

/// Puts what is normed of the rows of a chunk into `rows.rotated` and sums its squares; with
/// gradients also the products.
template <NormPlace kPlace, bool kWithProducts, typename T>
HWY_INLINE void rotate_chunk(const RotaryRows& rows, const T* x, const float* gradients,
                             Chunk& chunk) {
  const size_t half = rows.width / 2;
  for (size_t r = 0; r < chunk.count; ++r) {
    const size_t row = chunk.first + r;
    const auto* const from = x + row * rows.stride;
    // Rows lie too far apart for the CPU to see where it will read next.
    for (size_t i = 0; i < rows.width; i += kLine / sizeof(T)) {
      hwy::Prefetch(from + kRowsAhead * rows.stride + i);
    }
    const size_t angles = rows.same_angles ? 0 : row * half;
    const auto* const cosines = rows.cosines + angles;
    const auto* const sines = rows.sines + angles;
    auto* const rotated = rows.rotated + r * rows.width;
    Vectors squares = {set(0.0F), set(0.0F)};
    Vectors products = squares;
    for_each_vector(half, [&](size_t i, size_t count) HWY_ATTR {
      const auto cosine = load(cosines + i, count);
      const auto sine = load(sines + i, count);
      const auto u = normed_pair<kPlace>(load_pair(from, half, i, count), cosine, sine);
      store_pair(u, rotated, half, i, count);
      squares = {hn::MulAdd(u.a, u.a, squares.a), hn::MulAdd(u.b, u.b, squares.b)};
      if constexpr (kWithProducts) {
        const auto gradient = gradient_pair<kPlace>(
            load_pair(gradients + row * rows.width, half, i, count), cosine, sine);
        const auto weight = load_pair(rows.weight, half, i, count);
        products = {hn::MulAdd(hn::Mul(gradient.a, weight.a), u.a, products.a),
                    hn::MulAdd(hn::Mul(gradient.b, weight.b), u.b, products.b)};
      }
    });
    chunk.squares[r] = sum_of_lanes(hn::Add(squares.a, squares.b));
    if constexpr (kWithProducts) {
      chunk.products[r] = sum_of_lanes(hn::Add(products.a, products.b));
    }
  }
}

/// 1 / sqrt(mean square + eps) of the rows from r on.
HWY_INLINE FloatVector inverses_of(const RotaryRows& rows, const Chunk& chunk, size_t r) {
  const auto mean_square = hn::Div(load(chunk.squares + r), set(static_cast<float>(rows.width)));
  return hn::Div(set(1.0F), hn::Sqrt(hn::Add(mean_square, set(rows.eps))));
}

/// visit(r, count) for vectors over the rows of a chunk, all their lanes inside its arrays.
template <typename Visit>
HWY_INLINE void for_each_row_vector(const Visit& visit) {
  static_assert(kRotaryChunk * sizeof(float) % HWY_MAX_BYTES == 0);
  for (size_t r = 0; r < kRotaryChunk; r += lanes()) {
    visit(r);
  }
}

template <NormPlace kPlace, typename T>
HWY_INLINE void norm_chunk(const RotaryRows& rows, const T* x, Chunk& chunk, T* y) {
  rotate_chunk<kPlace, /*kWithProducts=*/false>(rows, x, nullptr, chunk);
  HWY_ALIGN float inverses[kRotaryChunk];
  for_each_row_vector([&](size_t r) HWY_ATTR { store(inverses_of(rows, chunk, r), inverses + r); });
  const size_t half = rows.width / 2;
  for_each_vector(half, [&](size_t i, size_t count) HWY_ATTR {
    const auto weight = load_pair(rows.weight, half, i, count);
    for (size_t r = 0; r < chunk.count; ++r) {
      const auto u = load_pair(rows.rotated + r * rows.width, half, i, count);
      const auto scale = set(inverses[r]);
      Vectors v = {hn::Mul(hn::Mul(u.a, scale), weight.a), hn::Mul(hn::Mul(u.b, scale), weight.b)};
      const size_t row = chunk.first + r;
      if constexpr (kPlace == NormPlace::kBefore) {
        const size_t angles = (rows.same_angles ? 0 : row * half) + i;
        v = rotate(v, load(rows.cosines + angles, count), load(rows.sines + angles, count));
      }
      store_pair(v, y + row * rows.width, half, i, count);
    }
  });
}

/// With u what is normed, dy the scaled gradient of its norm, w the weight and
/// n = 1 / sqrt(mean square): du = n dy w - n^3 mean(dy w u) u, dweight += n dy u. Where the norm
/// comes last dx = du rotated back, else dy was.
template <NormPlace kPlace, typename T>
HWY_INLINE void norm_backward_chunk(const RotaryRows& rows, const RotaryGradient& gradient,
                                    const T* x, Chunk& chunk, T* dx) {
  rotate_chunk<kPlace, /*kWithProducts=*/true>(rows, x, gradient.dy, chunk);
  HWY_ALIGN float scales[kRotaryChunk];  // n, and the factor of the gradient
  HWY_ALIGN float alongs[kRotaryChunk];  // n^3 mean(dy w u)
  for_each_row_vector([&](size_t r) HWY_ATTR {
    const auto inverse = inverses_of(rows, chunk, r);
    const auto scale = hn::Mul(inverse, set(gradient.scale));
    const auto product = hn::Div(load(chunk.products + r), set(static_cast<float>(rows.width)));
    store(scale, scales + r);
    store(hn::Mul(hn::Mul(inverse, inverse), hn::Mul(scale, product)), alongs + r);
  });
  const size_t half = rows.width / 2;
  for_each_vector(half, [&](size_t i, size_t count) HWY_ATTR {
    const auto weight = load_pair(rows.weight, half, i, count);
    auto sum = load_pair(gradient.dweight, half, i, count);
    for (size_t r = 0; r < chunk.count; ++r) {
      const size_t row = chunk.first + r;
      const auto u = load_pair(rows.rotated + r * rows.width, half, i, count);
      const size_t angles = (rows.same_angles ? 0 : row * half) + i;
      const auto cosine = load(rows.cosines + angles, count);
      const auto sine = load(rows.sines + angles, count);
      const auto dy = gradient_pair<kPlace>(
          load_pair(gradient.dy + row * rows.width, half, i, count), cosine, sine);
      const auto scale = set(scales[r]);
      const auto along = set(alongs[r]);
      const Vectors scaled = {hn::Mul(dy.a, scale), hn::Mul(dy.b, scale)};
      sum = {hn::MulAdd(scaled.a, u.a, sum.a), hn::MulAdd(scaled.b, u.b, sum.b)};
      Vectors du = {hn::NegMulAdd(u.a, along, hn::Mul(scaled.a, weight.a)),
                    hn::NegMulAdd(u.b, along, hn::Mul(scaled.b, weight.b))};
      if constexpr (kPlace == NormPlace::kAfter) {
        du = rotate(du, cosine, hn::Neg(sine));
      }
      store_pair(du, dx + row * rows.stride, half, i, count);
    }
    store_pair(sum, gradient.dweight, half, i, count);
  });
}

/// Rotation alone: scale * R x of rows `x_stride` apart, or its transpose `back`, to rows `y_stride`
/// apart.
template <typename X, typename Y>
HWY_INLINE void turn_rows(const RotaryRows& rows, const X* x, size_t x_stride, float scale,
                          bool back, Y* y, size_t y_stride) {
  const size_t half = rows.width / 2;
  const auto factor = set(scale);
  const auto of_sine = set(back ? -scale : scale);
  for (size_t row = 0; row < rows.rows; ++row) {
    const size_t angles = rows.same_angles ? 0 : row * half;
    for_each_vector(half, [&](size_t i, size_t count) HWY_ATTR {
      const auto cosine = hn::Mul(load(rows.cosines + angles + i, count), factor);
      const auto sine = hn::Mul(load(rows.sines + angles + i, count), of_sine);
      store_pair(rotate(load_pair(x + row * x_stride, half, i, count), cosine, sine),
                 y + row * y_stride, half, i, count);
    });
  }
}

template <NormPlace kPlace, typename T>
HWY_INLINE void norm_rows(const RotaryRows& rows, const T* x, T* y) {
  for_each_chunk(rows, [&](Chunk& chunk) HWY_ATTR { norm_chunk<kPlace>(rows, x, chunk, y); });
}

template <NormPlace kPlace, typename T>
HWY_INLINE void norm_backward_rows(const RotaryRows& rows, const RotaryGradient& gradient,
                                   const T* x, T* dx) {
  for_each_chunk(rows, [&](Chunk& chunk)
                           HWY_ATTR { norm_backward_chunk<kPlace>(rows, gradient, x, chunk, dx); });
}

void RotaryNormRows(const RotaryRows& rows, Values y) {
  with_type(y, [&](auto* to) HWY_ATTR {
    const auto* const x = static_cast<const std::remove_pointer_t<decltype(to)>*>(rows.x.data);
    switch (rows.place) {
      case NormPlace::kNone:
        return turn_rows(rows, x, rows.stride, 1.0F, /*back=*/false, to, rows.width);
      case NormPlace::kBefore:
        return norm_rows<NormPlace::kBefore>(rows, x, to);
      case NormPlace::kAfter:
        return norm_rows<NormPlace::kAfter>(rows, x, to);
    }
  });
}

void RotaryNormBackwardRows(const RotaryRows& rows, const RotaryGradient& gradient) {
  with_type(gradient.dx, [&](auto* dx) HWY_ATTR {
    const auto* const x = static_cast<const std::remove_pointer_t<decltype(dx)>*>(rows.x.data);
    switch (rows.place) {
      case NormPlace::kNone:
        return turn_rows(rows, gradient.dy, rows.width, gradient.scale, /*back=*/true, dx,
                         rows.stride);
      case NormPlace::kBefore:
        return norm_backward_rows<NormPlace::kBefore>(rows, gradient, x, dx);
      case NormPlace::kAfter:
        return norm_backward_rows<NormPlace::kAfter>(rows, gradient, x, dx);
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
