#include "loopbank/ops/elementwise_kernels.h"

#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/ops/elementwise_kernels.cpp"
#include <hwy/foreach_target.h>

#include "loopbank/ops/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

template <typename X>
void swiglu_row(const X* gate, const X* up, size_t width, X* y) {
  for_each_vector(width, [=](size_t i, size_t count) HWY_ATTR {
    const auto g = load(gate + i, count);
    store(hn::Mul(hn::Mul(g, sigmoid(g)), load(up + i, count)), y + i, count);
  });
}

/// With s = sigmoid(g): d silu(g) / dg = s + g s (1 - s).
template <typename X>
void swiglu_backward_row(const X* dy, const X* gate, const X* up, size_t width, X* dgate, X* dup) {
  const auto one = set(1.0F);
  for_each_vector(width, [=](size_t i, size_t count) HWY_ATTR {
    const auto g = load(gate + i, count);
    const auto slope = load(dy + i, count);
    const auto s = sigmoid(g);
    const auto silu = hn::Mul(g, s);
    store(hn::Mul(slope, silu), dup + i, count);
    const auto silu_slope = hn::MulAdd(silu, hn::Sub(one, s), s);
    store(hn::Mul(hn::Mul(slope, load(up + i, count)), silu_slope), dgate + i, count);
  });
}

void SwigluRows(const SwigluForward& swiglu, size_t first, size_t last) {
  const size_t width = swiglu.width;
  with_type(swiglu.y, [&](auto* all) HWY_ATTR {
    using X = std::remove_pointer_t<decltype(all)>;
    for (size_t row = first; row < last; ++row) {
      const auto* const gate = static_cast<const X*>(swiglu.gate_up.data) + 2 * row * width;
      swiglu_row(gate, gate + width, width, all + row * width);
    }
  });
}

void SwigluBackwardRows(const SwigluBackward& swiglu, size_t first, size_t last) {
  const size_t width = swiglu.width;
  with_type(swiglu.dgate_up, [&](auto* all) HWY_ATTR {
    using X = std::remove_pointer_t<decltype(all)>;
    for (size_t row = first; row < last; ++row) {
      const auto* const dy = static_cast<const X*>(swiglu.dy.data) + row * width;
      const auto* const gate = static_cast<const X*>(swiglu.gate_up.data) + 2 * row * width;
      auto* const dgate = all + 2 * row * width;
      swiglu_backward_row(dy, gate, gate + width, width, dgate, dgate + width);
    }
  });
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
    const auto slope = load(dy + i, count);
    if (dbranch != nullptr) {
      store(hn::Mul(slope, scale), dbranch + i, count);
    }
    return hn::MulAdd(slope, load(branch + i, count), sum);
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

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank::ops {

HWY_EXPORT(SwigluRows);
HWY_EXPORT(SwigluBackwardRows);
HWY_EXPORT(ScaledResidualValues);
HWY_EXPORT(ScaledResidualBackwardValues);

void swiglu_rows(const SwigluForward& swiglu, size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(SwigluRows)(swiglu, first, last);
}

void swiglu_backward_rows(const SwigluBackward& swiglu, size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(SwigluBackwardRows)(swiglu, first, last);
}

void scaled_residual_values(const ResidualForward& residual, size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(ScaledResidualValues)(residual, first, last);
}

float scaled_residual_backward_values(const ResidualBackward& residual, size_t first, size_t last) {
  return HWY_DYNAMIC_DISPATCH(ScaledResidualBackwardValues)(residual, first, last);
}

}  // namespace loopbank::ops
#endif
