#include "loopbank/ops/simd/halting_kernels.h"

#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/ops/simd/halting_kernels.cpp"
#include <hwy/foreach_target.h>

#include "loopbank/ops/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

/// The sum over loops at values i to i + count of a row that begins at `at`.
template <typename X>
HWY_INLINE FloatVector mixed_at(const HaltingMixForward& mix, size_t row, size_t at, size_t count) {
  auto sum = set(0.0F);
  for (size_t t = 0; t < mix.states.size(); ++t) {
    const auto probability = set(mix.halting[t * mix.num_rows + row]);
    sum = hn::MulAdd(load(static_cast<const X*>(mix.states[t].data) + at, count), probability, sum);
  }
  return sum;
}

void HaltingMixRows(const HaltingMixForward& mix, size_t first, size_t last) {
  with_type(mix.y, [&](auto* y) HWY_ATTR {
    using X = std::remove_pointer_t<decltype(y)>;
    for (size_t row = first; row < last; ++row) {
      const size_t start = row * mix.width;
      for_each_vector(mix.width, [&](size_t i, size_t count) HWY_ATTR {
        store(mixed_at<X>(mix, row, start + i, count), y + start + i, count);
      });
      float loops = 0.0F;
      for (size_t t = 0; t < mix.states.size(); ++t) {
        loops += static_cast<float>(t + 1) * mix.halting[t * mix.num_rows + row];
      }
      mix.loops[row] = loops;
    }
  });
}

/// <dy, h>; dh = P dy on the way where it is not null.
template <typename X>
float product_and_share(const X* dy, const X* state, float probability, size_t width, X* dstate) {
  const auto share = set(probability);
  return sum_over(width, [=](FloatVector sum, size_t i, size_t count) HWY_ATTR {
    const auto gradient = load(dy + i, count);
    if (dstate != nullptr) {
      store(hn::Mul(gradient, share), dstate + i, count);
    }
    return hn::MulAdd(gradient, load(state + i, count), sum);
  });
}

void HaltingMixBackwardRows(const HaltingMixBackward& mix, size_t first, size_t last) {
  with_type(mix.dy, [&](const auto* dy) HWY_ATTR {
    using X = std::remove_const_t<std::remove_pointer_t<decltype(dy)>>;
    for (size_t row = first; row < last; ++row) {
      const size_t start = row * mix.width;
      const float of_loops = mix.dloops == nullptr ? 0.0F : mix.dloops[row];
      for (size_t t = 0; t < mix.states.size(); ++t) {
        const size_t at = t * mix.num_rows + row;
        auto* const dstate = static_cast<X*>(mix.dstates[t].data);
        const float product = product_and_share(
            dy + start, static_cast<const X*>(mix.states[t].data) + start, mix.halting[at],
            mix.width, dstate == nullptr ? nullptr : dstate + start);
        mix.dhalting[at] = product + static_cast<float>(t + 1) * of_loops;
      }
    }
  });
}

void RouterRows(const RouterForward& router, size_t first, size_t last) {
  const auto* const weight = router.weight;
  for (size_t row = first; row < last; ++row) {
    const auto* const state = router.state + row * router.width;
    router.logits[row] = router.constant + sum_over(router.width, [=](FloatVector sum, size_t i,
                                                                      size_t count) HWY_ATTR {
                           return hn::MulAdd(load(state + i, count), load(weight + i, count), sum);
                         });
  }
}

void RouterBackwardRows(const RouterBackward& router, size_t first, size_t last, float* sums) {
  const auto* const weight = router.weight;
  for (size_t row = first; row < last; ++row) {
    const auto* const state = router.state + row * router.width;
    auto* const dstate = router.dstate + row * router.width;
    const auto gradient = set(router.dlogits[row]);
    for_each_vector(router.width, [=](size_t i, size_t count) HWY_ATTR {
      store(hn::Mul(gradient, load(weight + i, count)), dstate + i, count);
      store(hn::MulAdd(gradient, load(state + i, count), load(sums + i, count)), sums + i, count);
    });
    sums[router.width] += router.dlogits[row];
  }
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank::ops {

HWY_EXPORT(HaltingMixRows);
HWY_EXPORT(HaltingMixBackwardRows);
HWY_EXPORT(RouterRows);
HWY_EXPORT(RouterBackwardRows);

void halting_mix_rows(const HaltingMixForward& mix, size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(HaltingMixRows)(mix, first, last);
}

void halting_mix_backward_rows(const HaltingMixBackward& mix, size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(HaltingMixBackwardRows)(mix, first, last);
}

void router_rows(const RouterForward& router, size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(RouterRows)(router, first, last);
}

void router_backward_rows(const RouterBackward& router, size_t first, size_t last, float* sums) {
  HWY_DYNAMIC_DISPATCH(RouterBackwardRows)(router, first, last, sums);
}

}  // namespace loopbank::ops
#endif
