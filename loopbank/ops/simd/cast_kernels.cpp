#include "loopbank/ops/simd/cast_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/ops/simd/cast_kernels.cpp"
#include <hwy/foreach_target.h>

#include "loopbank/ops/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

void CastValues(ConstValues from, Values to, size_t first, size_t last) {
  with_type(from, [&](const auto* source) HWY_ATTR {
    with_type(to, [&](auto* target) HWY_ATTR {
      for_each_vector(last - first, [=](size_t i, size_t count) HWY_ATTR {
        store(load(source + first + i, count), target + first + i, count);
      });
    });
  });
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank::ops {

HWY_EXPORT(CastValues);

void cast_values(ConstValues from, Values to, size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(CastValues)(from, to, first, last);
}

}  // namespace loopbank::ops
#endif
