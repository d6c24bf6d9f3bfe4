#include "loopbank/ops/simd/rows_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/ops/simd/rows_kernels.cpp"
#include <hwy/foreach_target.h>

#include "loopbank/ops/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

void AddWeighted(const float* h, float weight, size_t count, float* y) {
  const auto factor = set(weight);
  for_each_vector(count, [=](size_t i, size_t n) HWY_ATTR {
    store(hn::MulAdd(load(h + i, n), factor, load(y + i, n)), y + i, n);
  });
}

// Past the end of a row everything loads as 0 and adds nothing.

SquaredChange SquaredChangeOf(const float* h, const float* before, size_t count) {
  return {.difference = sum_over(count,
                                 [=](FloatVector sum, size_t i, size_t n) HWY_ATTR {
                                   const auto d = hn::Sub(load(h + i, n), load(before + i, n));
                                   return hn::MulAdd(d, d, sum);
                                 }),
          .before = sum_over(count, [=](FloatVector sum, size_t i, size_t n) HWY_ATTR {
            const auto v = load(before + i, n);
            return hn::MulAdd(v, v, sum);
          })};
}

SquaredChange SquaredAccelerationOf(const float* h, const float* before, const float* earlier,
                                    size_t count) {
  return {.difference = sum_over(count,
                                 [=](FloatVector sum, size_t i, size_t n) HWY_ATTR {
                                   const auto middle = load(before + i, n);
                                   const auto d = hn::Sub(hn::Sub(load(h + i, n), middle),
                                                          hn::Sub(middle, load(earlier + i, n)));
                                   return hn::MulAdd(d, d, sum);
                                 }),
          .before = sum_over(count, [=](FloatVector sum, size_t i, size_t n) HWY_ATTR {
            const auto d = hn::Sub(load(h + i, n), load(before + i, n));
            return hn::MulAdd(d, d, sum);
          })};
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank::ops {

HWY_EXPORT(AddWeighted);
HWY_EXPORT(SquaredChangeOf);
HWY_EXPORT(SquaredAccelerationOf);

void add_weighted(const float* h, float weight, size_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(AddWeighted)(h, weight, count, y);
}

SquaredChange squared_change(const float* h, const float* before, size_t count) {
  return HWY_DYNAMIC_DISPATCH(SquaredChangeOf)(h, before, count);
}

SquaredChange squared_acceleration(const float* h, const float* before, const float* earlier,
                                   size_t count) {
  return HWY_DYNAMIC_DISPATCH(SquaredAccelerationOf)(h, before, earlier, count);
}

}  // namespace loopbank::ops
#endif
