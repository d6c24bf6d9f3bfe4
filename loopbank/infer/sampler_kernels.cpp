#include "loopbank/infer/sampler_kernels.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/infer/sampler_kernels.cpp"
#include <hwy/foreach_target.h>

#include <hwy/highway.h>

#include "loopbank/ops/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using Doubles = hn::ScalableTag<double>;
using DoubleVector = hn::Vec<Doubles>;
using HalfFloats = hn::Rebind<float, Doubles>;

/// exp underflows to 0 far above this, and its vector form needs a bound.
constexpr double kLowestExponent = -1000.0;

HWY_INLINE DoubleVector exp_of(DoubleVector x) {
  const Doubles d;
  const auto low = hn::Set(d, kLowestExponent);
  return hn::IfThenZeroElse(hn::Le(x, low), hn::Exp(d, hn::Max(x, low)));
}

HWY_INLINE DoubleVector read(const double* from) {
  return hn::LoadU(Doubles(), from);
}

HWY_INLINE DoubleVector read(const float* from) {
  return hn::PromoteTo(Doubles(), hn::LoadU(HalfFloats(), from));
}

/// Calls visit(vector, i, n) for the n values from x + i on. The last vector is filled up, so that
/// every value goes through the same instructions.
template <typename T, typename Visit>
HWY_INLINE void for_each_doubles(const T* x, size_t count, T filler, const Visit& visit) {
  const size_t step = hn::Lanes(Doubles());
  size_t i = 0;
  for (; i + step <= count; i += step) {
    visit(read(x + i), i, step);
  }
  if (i < count) {
    T rest[hn::MaxLanes(Doubles())];
    std::fill(rest, rest + step, filler);
    std::copy(x + i, x + count, rest);
    visit(read(rest), i, count - i);
  }
}

RowScan scan(const float* logits, size_t count) {
  const hn::ScalableTag<float> d;
  const size_t step = hn::Lanes(d);
  // x - x is 0 for finite values alone, else NaN.
  auto faults = hn::Zero(d);
  auto largest = hn::Set(d, logits[0]);
  float fault = 0.0F;
  float rest = logits[0];
  size_t i = 0;
  for (; i + step <= count; i += step) {
    const auto x = hn::LoadU(d, logits + i);
    faults = hn::Add(faults, hn::Sub(x, x));
    largest = hn::Max(largest, x);
  }
  for (; i < count; ++i) {
    fault += logits[i] - logits[i];
    rest = std::max(rest, logits[i]);
  }
  fault += hn::GetLane(hn::SumOfLanes(d, faults));
  return {.is_finite = fault == 0.0F,
          .largest = std::max(rest, hn::GetLane(hn::MaxOfLanes(d, largest)))};
}

double sum_exp(const float* x, size_t count, double shift) {
  const Doubles d;
  const auto by = hn::Set(d, shift);
  auto sum = hn::Zero(d);
  for_each_doubles(x, count, -HUGE_VALF, [&](DoubleVector v, size_t, size_t) HWY_ATTR {
    sum = hn::Add(sum, exp_of(hn::Sub(v, by)));
  });
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

double weigh(const double* x, size_t count, double shift, double scale, double* weights) {
  const Doubles d;
  const auto by = hn::Set(d, shift);
  const auto times = hn::Set(d, scale);
  auto sum = hn::Zero(d);
  for_each_doubles(x, count, -HUGE_VAL, [&](DoubleVector v, size_t i, size_t n) HWY_ATTR {
    const auto weight = exp_of(hn::Mul(hn::Sub(v, by), times));
    sum = hn::Add(sum, weight);
    if (n == hn::Lanes(d)) {
      hn::StoreU(weight, d, weights + i);
    } else {
      double last[hn::MaxLanes(Doubles())];
      hn::StoreU(weight, d, last);
      std::copy(last, last + n, weights + i);
    }
  });
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

}  // namespace
}  // namespace loopbank::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank {

HWY_EXPORT(scan);
HWY_EXPORT(sum_exp);
HWY_EXPORT(weigh);

RowScan scan_row(const float* logits, size_t count) {
  return HWY_DYNAMIC_DISPATCH(scan)(logits, count);
}

double sum_of_exponentials(const float* x, size_t count, double shift) {
  return HWY_DYNAMIC_DISPATCH(sum_exp)(x, count, shift);
}

double exponentials(const double* x, size_t count, double shift, double scale, double* weights) {
  return HWY_DYNAMIC_DISPATCH(weigh)(x, count, shift, scale, weights);
}

}  // namespace loopbank
#endif
