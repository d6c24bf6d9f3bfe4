/// Two vectors at a time to bf16 and the exponential of a softmax, for the vector kernels of
/// attention. Included once for every instruction set (Highway's foreach_target).

#include <cstddef>
#include <cstdint>

// clang-format off: the guard of Highway's documentation, one inclusion an instruction set
#if defined(LOOPBANK_OPS_SELF_ATTENTION_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOOPBANK_OPS_SELF_ATTENTION_INL_H
#undef LOOPBANK_OPS_SELF_ATTENTION_INL_H
#else
#define LOOPBANK_OPS_SELF_ATTENTION_INL_H
#endif
// clang-format on

#include "loopbank/ops/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

/// Two vectors of a row, neighbours or one from each half.
struct Vectors {
  FloatVector a;
  FloatVector b;
};

#if HWY_TARGET != HWY_SCALAR

/// Both rounded to the nearest, ties to even, first a then b: half the work of storing them one by
/// one. NaN as arithmetic makes it stays NaN.
HWY_INLINE auto to_bf16(Vectors v) {
  const hn::RebindToUnsigned<Floats> d32;
  const hn::Repartition<uint16_t, Floats> d16;
  const auto rounded = [=](FloatVector x) HWY_ATTR {
    const auto bits = hn::BitCast(d32, x);
    const auto even = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
    return hn::BitCast(d16, hn::Add(bits, hn::Add(even, hn::Set(d32, 0x7FFF))));
  };
  return hn::ConcatOdd(d16, rounded(v.b), rounded(v.a));
}

#endif

/// a to `to_a`, b to `to_b`.
HWY_INLINE void store_each(Vectors v, float* to_a, float* to_b) {
  store(v.a, to_a);
  store(v.b, to_b);
}

HWY_INLINE void store_each(Vectors v, uint16_t* to_a, uint16_t* to_b) {
#if HWY_TARGET == HWY_SCALAR
  store(v.a, to_a);
  store(v.b, to_b);
#else
  const hn::Rebind<uint16_t, Floats> half;
  const auto both = to_bf16(v);
  hn::StoreU(hn::LowerHalf(half, both), half, to_a);
  hn::StoreU(hn::UpperHalf(half, both), half, to_b);
#endif
}

/// Both to neighbouring places.
HWY_INLINE void store_two(Vectors v, float* to) {
  store_each(v, to, to + lanes());
}

HWY_INLINE void store_two(Vectors v, uint16_t* to) {
#if HWY_TARGET == HWY_SCALAR
  store_each(v, to, to + lanes());
#else
  hn::StoreU(to_bf16(v), hn::Repartition<uint16_t, Floats>(), to);
#endif
}

/// 2^x for x <= 0, to 5e-7 of the result; 2^0 is 1. A third of the work of Highway's Exp, which
/// also makes 0 of NaN where a loss has to show it.
HWY_INLINE FloatVector exp2_below_zero(FloatVector x) {
  const hn::RebindToSigned<Floats> d32;
  // Added, it leaves the nearest integer in the low bits of the sum.
  const auto integers = set(12582912.0F);  // 1.5 2^23
  const auto shifted = hn::Add(x, integers);
  const auto f = hn::Sub(x, hn::Sub(shifted, integers));
  // 2^f on [-1/2, 1/2] by Remez's exchange.
  auto power = hn::MulAdd(set(1.1125507683e-3F), f, set(9.6662825247e-3F));
  power = hn::MulAdd(power, f, set(5.5574004733e-2F));
  power = hn::MulAdd(power, f, set(2.4022350651e-1F));
  power = hn::MulAdd(power, f, set(6.9314283061e-1F));
  power = hn::MulAdd(power, f, set(1.0F));
  const auto bits = hn::Add(hn::BitCast(d32, power), hn::ShiftLeft<23>(hn::BitCast(d32, shifted)));
  // Further down the exponent runs out of its bits. NaN compares false and stays.
  return hn::IfThenZeroElse(hn::Lt(x, set(-125.0F)), hn::BitCast(Floats(), bits));
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
