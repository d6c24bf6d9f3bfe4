#include "loopbank/train/adamw_kernels.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/train/adamw_kernels.cpp"
#include <hwy/foreach_target.h>

#include <hwy/highway.h>

#include "loopbank/ops/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::HWY_NAMESPACE {
namespace {

using namespace loopbank::ops::HWY_NAMESPACE;

void step(const AdamwRange& range, const AdamwCoefficients& by) {
  const auto beta1 = set(by.beta1);
  const auto beta2 = set(by.beta2);
  const auto rest1 = set(by.rest1);
  const auto rest2 = set(by.rest2);
  const auto scale = set(by.gradient_scale);
  const auto decay = set(by.decay);
  const auto step_size = set(by.step_size);
  const auto root_correction = set(by.root_correction);
  const auto eps = set(by.eps);
  for_each_vector(range.count, [&](size_t i, size_t count) HWY_ATTR {
    const auto g =
        range.gradient == nullptr ? set(0.0F) : hn::Mul(load(range.gradient + i, count), scale);
    const auto m = hn::MulAdd(load(range.first_moment + i, count), beta1, hn::Mul(g, rest1));
    const auto v =
        hn::MulAdd(load(range.second_moment + i, count), beta2, hn::Mul(hn::Mul(g, g), rest2));
    const auto root = hn::MulAdd(hn::Sqrt(v), root_correction, eps);
    const auto p = hn::Mul(load(range.value + i, count), decay);
    store(m, range.first_moment + i, count);
    store(v, range.second_moment + i, count);
    store(hn::NegMulAdd(step_size, hn::Div(m, root), p), range.value + i, count);
  });
}

double squares(const float* x, size_t count) {
  double sum = 0.0;
  for (size_t begin = 0; begin < count; begin += kSquaresInFp32) {
    auto part = set(0.0F);
    for_each_vector(std::min(kSquaresInFp32, count - begin), [&](size_t i, size_t n) HWY_ATTR {
      const auto value = load(x + begin + i, n);
      part = hn::MulAdd(value, value, part);
    });
    sum += static_cast<double>(sum_of_lanes(part));
  }
  return sum;
}

}  // namespace
}  // namespace loopbank::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank {

HWY_EXPORT(step);
HWY_EXPORT(squares);

void adamw_step(const AdamwRange& range, const AdamwCoefficients& by) {
  HWY_DYNAMIC_DISPATCH(step)(range, by);
}

double sum_of_squares(const float* x, size_t count) {
  return HWY_DYNAMIC_DISPATCH(squares)(x, count);
}

}  // namespace loopbank
#endif
