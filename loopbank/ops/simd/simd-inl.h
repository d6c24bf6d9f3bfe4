/// What the vector kernels share: loads and stores of fp32 and bf16 that stop at the end of a row,
/// and a few functions of fp32. Included once for every instruction set (Highway's foreach_target).
///
/// bf16 goes to fp32 as it is read and is rounded to the nearest, ties to even, as it is written,
/// in the way of every other conversion of LibTorch; Highway 1.0's own DemoteTo cuts off. CPUs with
/// an instruction for it (AVX512_BF16, which Highway 1.0 has no target for) use that: ten times
/// fewer instructions, and the same but for values below 2^-126, which become 0.

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifndef LOOPBANK_OPS_SIMD_ONCE
#define LOOPBANK_OPS_SIMD_ONCE
namespace loopbank::ops {

/// Whether the CPU rounds to bf16 in one instruction.
#if defined(__x86_64__)
inline const bool kCpuRoundsToBf16 = __builtin_cpu_supports("avx512bf16") != 0;
#else
inline constexpr bool kCpuRoundsToBf16 = false;
#endif

}  // namespace loopbank::ops
#endif

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
  const hn::Rebind<uint16_t, Floats> d16;
#if HWY_TARGET == HWY_AVX3
  if (kCpuRoundsToBf16) {
    hn::Vec<decltype(d16)> rounded_by_cpu;
    asm("vcvtneps2bf16 %1, %0" : "=v"(rounded_by_cpu.raw) : "v"(v.raw));
    hn::StoreU(rounded_by_cpu, d16, to);
    return;
  }
#endif
  const hn::RebindToUnsigned<Floats> d32;
  const hn::RebindToSigned<Floats> signed32;
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

/// exp(x) for -87 <= x <= 87, where the exponent neither over- nor underflows, within 2e-7 of it.
/// Half the instructions of exp.
HWY_INLINE FloatVector exp_in_range(FloatVector x) {
  const hn::RebindToSigned<Floats> d32;
  // Added to n it rounds n to an integer, which is then found in the low bits.
  const auto rounder = set(12582912.0F);                          // 1.5 * 2^23
  const auto shifted = hn::MulAdd(x, set(1.44269504F), rounder);  // n = x / ln 2
  const auto n = hn::Sub(shifted, rounder);
  // exp(x) = 2^n exp(r), |r| <= ln 2 / 2; ln 2 in two parts, the first with zeros at its end.
  const auto r = hn::NegMulAdd(n, set(1.42860677e-6F), hn::NegMulAdd(n, set(0.693145752F), x));
  auto power = hn::MulAdd(set(0.00831250204F), r, set(0.041890334F));
  power = hn::MulAdd(power, r, set(0.166671154F));
  power = hn::MulAdd(power, r, set(0.499992303F));
  power = hn::MulAdd(power, r, set(1.0F));
  power = hn::MulAdd(power, r, set(1.0F));
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(d32, shifted));
  return hn::BitCast(Floats(), hn::Add(hn::BitCast(d32, power), exponent));
}

/// 1 / x for |x| in 2^-126 to 2^126, within 2e-7 of it; NaN stays NaN.
HWY_INLINE FloatVector reciprocal(FloatVector x) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  // Fourteen bits, which a step of Newton's doubles to more than fp32 has. The twelve of older
  // instruction sets would leave 1 / 1 short of 1.
  const auto guess = hn::ApproximateReciprocal(x);
  return hn::Mul(guess, hn::NegMulAdd(x, guess, set(2.0F)));
#else
  return hn::Div(set(1.0F), x);
#endif
}

/// 1 / (1 + exp(-x)) within 4e-7; 0 and 1 far out; NaN stays NaN.
HWY_INLINE FloatVector sigmoid(FloatVector x) {
  // Past 86 nothing changes in fp32.
  const auto bounded = hn::Clamp(x, set(-86.0F), set(86.0F));
  const auto known = reciprocal(hn::Add(set(1.0F), exp_in_range(hn::Neg(bounded))));
  return hn::IfThenElse(hn::IsNaN(x), x, known);
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
