/// What the vector kernels share: loads and stores of fp32 and bf16 that stop at the end of a row,
/// and a few functions of fp32. Included once for every instruction set (Highway's foreach_target).
///
/// bf16 goes to fp32 as it is read and is rounded to the nearest, ties to even, as it is written,
/// in the way of every other conversion of LibTorch; Highway 1.0's own DemoteTo cuts off.

#include <cstddef>
#include <cstdint>
#include <cstring>

// clang-format off: the guard of Highway's documentation, one inclusion an instruction set
#if defined(LOOPBANK_OPS_SIMD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOOPBANK_OPS_SIMD_INL_H
#undef LOOPBANK_OPS_SIMD_INL_H
#else
#define LOOPBANK_OPS_SIMD_INL_H
#endif
// clang-format on

#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// A vector of fp32 values, as many as the instruction set's registers hold.
using Floats = hn::ScalableTag<float>;
using FloatVector = hn::Vec<Floats>;

/// Values a vector holds.
HWY_INLINE size_t lanes() {
  return hn::Lanes(Floats());
}

HWY_INLINE FloatVector load(const float* from) {
  return hn::LoadU(Floats(), from);
}

/// bf16 as the upper half of fp32.
HWY_INLINE FloatVector load(const uint16_t* from) {
  const hn::RebindToUnsigned<Floats> d32;
  const hn::Rebind<uint16_t, Floats> d16;
  return hn::BitCast(Floats(), hn::ShiftLeft<16>(hn::PromoteTo(d32, hn::LoadU(d16, from))));
}

HWY_INLINE void store(FloatVector v, float* to) {
  hn::StoreU(v, Floats(), to);
}

/// Rounded to the nearest, ties to even; NaN stays NaN.
HWY_INLINE void store(FloatVector v, uint16_t* to) {
  const hn::RebindToUnsigned<Floats> d32;
  const hn::RebindToSigned<Floats> signed32;
  const hn::Rebind<uint16_t, Floats> d16;
  const auto bits = hn::BitCast(d32, v);
  const auto even = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
  const auto rounded = hn::Add(bits, hn::Add(even, hn::Set(d32, 0x7FFF)));
  const auto quiet = hn::BitCast(d32, hn::Set(d32, 0x7FC00000));
  const auto kept = hn::IfThenElse(hn::RebindMask(d32, hn::IsNaN(v)), quiet, rounded);
  hn::StoreU(hn::DemoteTo(d16, hn::BitCast(signed32, hn::ShiftRight<16>(kept))), d16, to);
}

/// The first `count` lanes from memory, the others 0; reads nothing behind them.
template <typename T>
HWY_INLINE FloatVector load(const T* from, size_t count) {
  if (count >= lanes()) {
    return load(from);
  }
  HWY_ALIGN T some[HWY_MAX_BYTES / sizeof(float)] = {};
  std::memcpy(some, from, count * sizeof(T));
  return load(some);
}

/// The first `count` lanes to memory; writes nothing behind them.
template <typename T>
HWY_INLINE void store(FloatVector v, T* to, size_t count) {
  if (count >= lanes()) {
    store(v, to);
    return;
  }
  HWY_ALIGN T some[HWY_MAX_BYTES / sizeof(float)];
  store(v, some);
  std::memcpy(to, some, count * sizeof(T));
}

/// Calls visit(i, count) for i = 0, lanes, 2 lanes, ... below n: `count` values from i on, fewer
/// than a vector only in the last.
template <typename Visit>
HWY_INLINE void for_each_vector(size_t n, const Visit& visit) {
  const size_t step = lanes();
  size_t i = 0;
  for (; i + step <= n; i += step) {
    visit(i, step);
  }
  if (i < n) {
    visit(i, n - i);
  }
}

HWY_INLINE FloatVector set(float value) {
  return hn::Set(Floats(), value);
}

HWY_INLINE float sum_of_lanes(FloatVector v) {
  return hn::GetLane(hn::SumOfLanes(Floats(), v));
}

HWY_INLINE float max_of_lanes(FloatVector v) {
  return hn::GetLane(hn::MaxOfLanes(Floats(), v));
}

/// The first `count` lanes, the others 0.
HWY_INLINE FloatVector keep_first(FloatVector v, size_t count) {
  return count >= lanes() ? v : hn::IfThenElseZero(hn::FirstN(Floats(), count), v);
}

/// The sum over a row of n values in four partial sums, so that none waits for the one before:
/// add_to(sum, i, count) is `sum` plus the vector of `count` values from i on, its other lanes 0.
template <typename AddTo>
HWY_INLINE float sum_over(size_t n, const AddTo& add_to) {
  const size_t step = lanes();
  auto sum0 = set(0.0F);
  auto sum1 = sum0;
  auto sum2 = sum0;
  auto sum3 = sum0;
  size_t i = 0;
  for (; i + 4 * step <= n; i += 4 * step) {
    sum0 = add_to(sum0, i, step);
    sum1 = add_to(sum1, i + step, step);
    sum2 = add_to(sum2, i + 2 * step, step);
    sum3 = add_to(sum3, i + 3 * step, step);
  }
  for (; i + step <= n; i += step) {
    sum0 = add_to(sum0, i, step);
  }
  if (i < n) {
    sum1 = add_to(sum1, i, n - i);
  }
  return sum_of_lanes(hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3)));
}

HWY_INLINE FloatVector exp(FloatVector x) {
  return hn::Exp(Floats(), x);
}

/// 1 / (1 + exp(-x)); 0 and 1 far out.
HWY_INLINE FloatVector sigmoid(FloatVector x) {
  const auto one = set(1.0F);
  // Past 88 exp overflows: the quotient is then 0 to within fp32 anyway.
  return hn::Div(one, hn::Add(one, exp(hn::Min(hn::Neg(x), set(87.0F)))));
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
