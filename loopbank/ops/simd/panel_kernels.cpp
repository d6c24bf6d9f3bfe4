#include "loopbank/ops/simd/panel_kernels.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/ops/simd/panel_kernels.cpp"
#include <hwy/foreach_target.h>

#include "loopbank/ops/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

/// A register of sums: at most a strip.
using StripPart = hn::CappedTag<float, 16>;
using PartVector = hn::Vec<StripPart>;
constexpr int64_t kPartLanes = static_cast<int64_t>(hn::MaxLanes(StripPart()));

/// Rows and registers of a row at a time: as many sums as leave room for the weights.
constexpr int64_t kRowsAtOnce = 6;
constexpr int64_t kPartsAtOnce = kPartLanes == 16 ? 4 : 2;

/// One k of fp32 weights.
struct Fp32Steps {
  static constexpr int64_t kDepth = 1;
  const float* weights;
  int64_t columns;

  HWY_INLINE PartVector weight(int64_t k, int64_t /*within*/, int64_t column) const {
    return hn::LoadU(StripPart(), weights + k * columns + column);
  }
};

/// Two k of bf16 weights, widened.
struct Bf16Steps {
  static constexpr int64_t kDepth = 2;
  const uint16_t* weights;
  int64_t columns;

  HWY_INLINE PartVector weight(int64_t k, int64_t within, int64_t column) const {
    const hn::RebindToUnsigned<StripPart> d32;
    const auto pairs = hn::LoadU(
        d32, reinterpret_cast<const uint32_t*>(weights + k * columns + column * kDepth));
    return hn::BitCast(StripPart(), within == 0 ? hn::ShiftLeft<16>(pairs)
                                                : hn::And(pairs, hn::Set(d32, 0xFFFF0000U)));
  }
};

/// kRows rows with kParts registers of columns from `column` on.
template <int64_t kRows, int64_t kParts, typename Steps>
HWY_INLINE void multiply_tile(const PanelProduct& p, const Steps& steps, int64_t row,
                              int64_t column) {
  const StripPart d;
  const auto* const x = static_cast<const float*>(p.x) + row * p.x_stride;
  float* const sums = p.sums + row * kPanelColumns + column;
  PartVector sum[kRows][kParts];
  HWY_UNROLL(8)
  for (int64_t i = 0; i < kRows; ++i) {
  HWY_UNROLL(4)
    for (int64_t part = 0; part < kParts; ++part) {
      sum[i][part] = p.add ? hn::LoadU(d, sums + i * kPanelColumns + part * kPartLanes)
                           : hn::Zero(d);
    }
  }
  for (int64_t k = 0; k < p.depth; k += Steps::kDepth) {
  HWY_UNROLL(2)
    for (int64_t within = 0; within < Steps::kDepth; ++within) {
      PartVector weight[kParts];
  HWY_UNROLL(4)
      for (int64_t part = 0; part < kParts; ++part) {
        weight[part] = steps.weight(k, within, column + part * kPartLanes);
      }
  HWY_UNROLL(8)
      for (int64_t i = 0; i < kRows; ++i) {
        const auto value = hn::Set(d, x[i * p.x_stride + k + within]);
  HWY_UNROLL(4)
        for (int64_t part = 0; part < kParts; ++part) {
          sum[i][part] = hn::MulAdd(value, weight[part], sum[i][part]);
        }
      }
    }
  }
  HWY_UNROLL(8)
  for (int64_t i = 0; i < kRows; ++i) {
  HWY_UNROLL(4)
    for (int64_t part = 0; part < kParts; ++part) {
      hn::StoreU(sum[i][part], d, sums + i * kPanelColumns + part * kPartLanes);
    }
  }
}

template <int64_t kRows, typename Steps>
HWY_NOINLINE void multiply_rows(const PanelProduct& p, const Steps& steps, int64_t row) {
  int64_t column = 0;
  for (; column + kPartsAtOnce * kPartLanes <= p.columns; column += kPartsAtOnce * kPartLanes) {
    multiply_tile<kRows, kPartsAtOnce>(p, steps, row, column);
  }
  for (; column < p.columns; column += kPartLanes) {
    multiply_tile<kRows, 1>(p, steps, row, column);
  }
}

template <typename Steps>
void multiply_panel(const PanelProduct& p, const Steps& steps) {
  // Blocks of nearly the same size: one of a single row would wait for its sums.
  const auto blocks = (p.rows + kRowsAtOnce - 1) / kRowsAtOnce;
  for (int64_t block = 0, row = 0; block < blocks; ++block) {
    const auto rows = (p.rows - row + blocks - block - 1) / (blocks - block);
    switch (rows) {
      case 1: multiply_rows<1>(p, steps, row); break;
      case 2: multiply_rows<2>(p, steps, row); break;
      case 3: multiply_rows<3>(p, steps, row); break;
      case 4: multiply_rows<4>(p, steps, row); break;
      case 5: multiply_rows<5>(p, steps, row); break;
      default: multiply_rows<6>(p, steps, row); break;
    }
    row += rows;
  }
}

void MultiplyFp32(const PanelProduct& p) {
  multiply_panel(p, Fp32Steps{static_cast<const float*>(p.weights), p.columns});
}

void MultiplyBf16(const PanelProduct& p) {
  multiply_panel(p, Bf16Steps{static_cast<const uint16_t*>(p.weights), p.columns});
}

void StorePanel(const PanelResult& result) {
  with_type(result.y, [&](auto* y) HWY_ATTR {
    for (int64_t row = 0; row < result.rows; ++row) {
      const auto* const sums = result.sums + row * kPanelColumns;
      auto* const to = y + row * result.y_stride;
      for_each_vector(static_cast<size_t>(result.columns), [=](size_t i, size_t count) HWY_ATTR {
        const auto sum = load(sums + i, count);
        store(result.scales == nullptr ? sum : hn::Mul(sum, load(result.scales + i, count)), to + i,
              count);
      });
    }
  });
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank::ops {

HWY_EXPORT(MultiplyFp32);
HWY_EXPORT(MultiplyBf16);
HWY_EXPORT(StorePanel);

PanelKernels vector_panel_kernels() {
  return {.fp32 = [](const PanelProduct& p) { HWY_DYNAMIC_DISPATCH(MultiplyFp32)(p); },
          .bf16 = [](const PanelProduct& p) { HWY_DYNAMIC_DISPATCH(MultiplyBf16)(p); }};
}

void store_panel(const PanelResult& result) {
  HWY_DYNAMIC_DISPATCH(StorePanel)(result);
}

}  // namespace loopbank::ops
#endif
