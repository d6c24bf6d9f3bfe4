#include "loopbank/ops/simd/elementwise_kernels.h"

#include <cstring>
#include <type_traits>

#include <hwy/cache_control.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/ops/simd/elementwise_kernels.cpp"
#include <hwy/foreach_target.h>

#include "loopbank/ops/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

template <typename X>
void swiglu_row(const X* gate, const X* up, size_t width, X* y) {
  for_each_vector(width, [=](size_t i, size_t count) HWY_ATTR {
    const auto g = load(gate + i, count);
    store(hn::Mul(hn::Mul(g, sigmoid(g)), load(up + i, count)), y + i, count);
  });
}

/// A copy that leaves no trace in the caches, of values that fill whole vectors and begin at a
/// multiple of one.
template <typename X>
void stream_values(const X* from, size_t num_values, X* to) {
  const hn::ScalableTag<X> d;
  for (size_t i = 0; i < num_values; i += hn::Lanes(d)) {
    hn::Stream(hn::LoadU(d, from + i), d, to + i);
  }
}

template <typename X>
bool can_stream(size_t num_values, const X* to) {
  const size_t step = hn::Lanes(hn::ScalableTag<X>());
  return num_values % step == 0 && reinterpret_cast<uintptr_t>(to) % (step * sizeof(X)) == 0;
}

/// A row at a time: its stores wait for memory while the next row's exponentials are computed.
template <typename X>
void copy_row(const X* from, size_t width, X* to) {
  if (can_stream(width, to)) {
    stream_values(from, width, to);
  } else {
    std::memcpy(to, from, width * sizeof(X));
  }
}

/// With s = sigmoid(g): d silu(g) / dg = s + g s (1 - s). Where y is not null also scale * swiglu,
/// and the sum of dy swiglu.
template <typename X>
float swiglu_backward_row(const X* dy, const X* gate, const X* up, size_t width, FloatVector scale,
                          X* dgate, X* dup, X* y) {
  const auto one = set(1.0F);
  return sum_over(width, [=](FloatVector sum, size_t i, size_t count) HWY_ATTR {
    const auto g = load(gate + i, count);
    const auto u = load(up + i, count);
    const auto gradient = load(dy + i, count);
    const auto scaled_gradient = hn::Mul(gradient, scale);
    const auto s = sigmoid(g);
    const auto silu = hn::Mul(g, s);
    store(hn::Mul(scaled_gradient, silu), dup + i, count);
    const auto silu_derivative = hn::MulAdd(silu, hn::Sub(one, s), s);
    store(hn::Mul(hn::Mul(scaled_gradient, u), silu_derivative), dgate + i, count);
    if (y == nullptr) {
      return sum;
    }
    const auto product = hn::Mul(silu, u);
    store(hn::Mul(product, scale), y + i, count);
    return hn::MulAdd(gradient, product, sum);
  });
}

void SwigluRows(const SwigluForward& swiglu, size_t first, size_t last) {
  with_type(swiglu.y, [&](auto* y) HWY_ATTR {
    using X = std::remove_pointer_t<decltype(y)>;
    const auto* const gate = static_cast<const X*>(swiglu.gate.data);
    const auto* const up = static_cast<const X*>(swiglu.up.data);
    auto* const gate_copy = static_cast<X*>(swiglu.gate_copy.data);
    auto* const up_copy = static_cast<X*>(swiglu.up_copy.data);
    for (size_t row = first; row < last; ++row) {
      const size_t at = row * swiglu.stride;
      swiglu_row(gate + at, up + at, swiglu.width, y + row * swiglu.y_stride);
      if (gate_copy != nullptr) {
        copy_row(gate + at, swiglu.width, gate_copy + row * swiglu.copy_stride);
        copy_row(up + at, swiglu.width, up_copy + row * swiglu.copy_stride);
      }
    }
  });
  if (swiglu.gate_copy.data != nullptr) {
    hwy::FlushStream();
  }
}

float SwigluBackwardRows(const SwigluBackward& swiglu, size_t first, size_t last) {
  const auto scale = set(swiglu.scale);
  float sum = 0.0F;
  with_type(swiglu.dgate, [&, scale](auto* dgate) HWY_ATTR {
    using X = std::remove_pointer_t<decltype(dgate)>;
    const auto* const gate = static_cast<const X*>(swiglu.gate.data);
    const auto* const up = static_cast<const X*>(swiglu.up.data);
    auto* const dup = static_cast<X*>(swiglu.dup.data);
    auto* const y = static_cast<X*>(swiglu.y.data);
    for (size_t row = first; row < last; ++row) {
      const auto* const dy = static_cast<const X*>(swiglu.dy.data) + row * swiglu.dy_stride;
      const size_t at = row * swiglu.stride;
      sum += swiglu_backward_row(dy, gate + at, up + at, swiglu.width, scale, dgate + at, dup + at,
                                 y == nullptr ? nullptr : y + row * swiglu.y_stride);
    }
  });
  return sum;
}

void ScaledResidualValues(const ResidualForward& residual, size_t first, size_t last) {
  const auto scale = set(residual.scale);
  const auto* const state = residual.state + first;
  auto* const y = residual.y + first;
  with_type(residual.branch, [&, scale](const auto* all) HWY_ATTR {
    const auto* const branch = all + first;
    for_each_vector(last - first, [=](size_t i, size_t count) HWY_ATTR {
      store(hn::MulAdd(load(branch + i, count), scale, load(state + i, count)), y + i, count);
    });
  });
}

/// dbranch = scale dy.
template <typename B>
void scale_values(const float* dy, FloatVector scale, size_t num_values, B* dbranch) {
  for_each_vector(num_values, [=](size_t i, size_t count) HWY_ATTR {
    store(hn::Mul(load(dy + i, count), scale), dbranch + i, count);
  });
}

/// The sum of dy branch; dbranch = scale dy on the way where it is not null.
template <typename B>
float product_and_scaled_values(const float* dy, const B* branch, FloatVector scale,
                                size_t num_values, B* dbranch) {
  return sum_over(num_values, [=](FloatVector sum, size_t i, size_t count) HWY_ATTR {
    const auto gradient = load(dy + i, count);
    if (dbranch != nullptr) {
      store(hn::Mul(gradient, scale), dbranch + i, count);
    }
    return hn::MulAdd(gradient, load(branch + i, count), sum);
  });
}

float ScaledResidualBackwardValues(const ResidualBackward& residual, size_t first, size_t last) {
  const auto scale = set(residual.scale);
  const auto* const dy = residual.dy + first;
  if (residual.branch.data == nullptr) {
    with_type(residual.dbranch, [&, scale](auto* all) HWY_ATTR {
      scale_values(dy, scale, last - first, all + first);
    });
    return 0.0F;
  }
  float product = 0.0F;
  with_type(residual.branch, [&, scale](const auto* all) HWY_ATTR {
    using B = std::remove_const_t<std::remove_pointer_t<decltype(all)>>;
    auto* const dbranch = static_cast<B*>(residual.dbranch.data);
    product = product_and_scaled_values(dy, all + first, scale, last - first,
                                        dbranch == nullptr ? nullptr : dbranch + first);
  });
  return product;
}

void AddBiasValues(ConstValues x, const float* bias, size_t width, Values y) {
  with_type(y, [&](auto* to) HWY_ATTR {
    const auto* const from = static_cast<const std::remove_pointer_t<decltype(to)>*>(x.data);
    for_each_vector(width, [=](size_t i, size_t count) HWY_ATTR {
      store(hn::Add(load(from + i, count), load(bias + i, count)), to + i, count);
    });
  });
}

void AddToSums(ConstValues dy, size_t width, float* sums) {
  with_type(dy, [&](const auto* from) HWY_ATTR {
    for_each_vector(width, [=](size_t i, size_t count) HWY_ATTR {
      store(hn::Add(load(sums + i, count), load(from + i, count)), sums + i, count);
    });
  });
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank::ops {

HWY_EXPORT(SwigluRows);
HWY_EXPORT(SwigluBackwardRows);
HWY_EXPORT(ScaledResidualValues);
HWY_EXPORT(ScaledResidualBackwardValues);
HWY_EXPORT(AddBiasValues);
HWY_EXPORT(AddToSums);

void swiglu_rows(const SwigluForward& swiglu, size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(SwigluRows)(swiglu, first, last);
}

float swiglu_backward_rows(const SwigluBackward& swiglu, size_t first, size_t last) {
  return HWY_DYNAMIC_DISPATCH(SwigluBackwardRows)(swiglu, first, last);
}

void scaled_residual_values(const ResidualForward& residual, size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(ScaledResidualValues)(residual, first, last);
}

float scaled_residual_backward_values(const ResidualBackward& residual, size_t first, size_t last) {
  return HWY_DYNAMIC_DISPATCH(ScaledResidualBackwardValues)(residual, first, last);
}

void add_bias_values(ConstValues x, const float* bias, size_t width, Values y) {
  HWY_DYNAMIC_DISPATCH(AddBiasValues)(x, bias, width, y);
}

void add_to_sums(ConstValues dy, size_t width, float* sums) {
  HWY_DYNAMIC_DISPATCH(AddToSums)(dy, width, sums);
}

}  // namespace loopbank::ops
#endif
