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
/// The same of few rows: as much of a panel as registers hold sums of, since its memory is then
/// read more nearly as it lies.
constexpr int64_t parts_of(int64_t rows) {
  if (kPartLanes != 8) {
    return kPartsAtOnce;
  }
  return rows == 1 ? 8 : rows <= 3 ? 4 : kPartsAtOnce;
}

/// One k of fp32 weights.
struct Fp32Steps {
  static constexpr int64_t kDepth = 1;
  const float* codes;
  int64_t columns;

  HWY_INLINE PartVector weight(int64_t k, int64_t /*within*/, int64_t column) const {
    return hn::LoadU(StripPart(), codes + k * columns + column);
  }
};

/// Two k of bf16 weights, widened.
struct Bf16Steps {
  static constexpr int64_t kDepth = 2;
  const uint16_t* weights;
  int64_t columns;

  HWY_INLINE PartVector weight(int64_t k, int64_t within, int64_t column) const {
    const hn::RebindToUnsigned<StripPart> d32;
    const auto pairs =
        hn::LoadU(d32, reinterpret_cast<const uint32_t*>(weights + k * columns + column * kDepth));
    return hn::BitCast(StripPart(), within == 0 ? hn::ShiftLeft<16>(pairs)
                                                : hn::And(pairs, hn::Set(d32, 0xFFFF0000U)));
  }
};

/// Adds the products of `depth` k from x and the steps' first on to the sums.
template <int64_t kRows, int64_t kParts, typename Steps>
HWY_INLINE void add_steps(PartVector (&sum)[kRows][kParts], const float* x, int64_t x_stride,
                          const Steps& steps, int64_t column, int64_t depth) {
  for (int64_t k = 0; k < depth; k += Steps::kDepth) {
    HWY_UNROLL(8)
    for (int64_t within = 0; within < Steps::kDepth; ++within) {
      PartVector weight[kParts];
      HWY_UNROLL(8)
      for (int64_t part = 0; part < kParts; ++part) {
        weight[part] = steps.weight(k, within, column + part * kPartLanes);
      }
      HWY_UNROLL(8)
      for (int64_t i = 0; i < kRows; ++i) {
        const auto value = hn::Set(StripPart(), x[i * x_stride + k + within]);
        HWY_UNROLL(8)
        for (int64_t part = 0; part < kParts; ++part) {
          sum[i][part] = hn::MulAdd(value, weight[part], sum[i][part]);
        }
      }
    }
  }
}

/// Sums carried from one depth to the next.
template <typename Steps>
struct CarriedSums {
  Steps steps;

  /// kRows rows with kParts registers of columns from `column` on.
  template <int64_t kRows, int64_t kParts>
  HWY_INLINE void add_tile(const PanelProduct& p, int64_t row, int64_t column) const {
    const StripPart d;
    float* const sums = p.sums + row * kPanelColumns + column;
    PartVector sum[kRows][kParts];
    HWY_UNROLL(8)
    for (int64_t i = 0; i < kRows; ++i) {
      HWY_UNROLL(8)
      for (int64_t part = 0; part < kParts; ++part) {
        sum[i][part] =
            p.add ? hn::LoadU(d, sums + i * kPanelColumns + part * kPartLanes) : hn::Zero(d);
      }
    }
    add_steps(sum, static_cast<const float*>(p.x) + row * p.x_stride, p.x_stride, steps, column,
              p.depth);
    HWY_UNROLL(8)
    for (int64_t i = 0; i < kRows; ++i) {
      HWY_UNROLL(8)
      for (int64_t part = 0; part < kParts; ++part) {
        hn::StoreU(sum[i][part], d, sums + i * kPanelColumns + part * kPartLanes);
      }
    }
  }
};

template <int64_t kRows, typename Sums>
HWY_NOINLINE void multiply_rows(const PanelProduct& p, const Sums& sums, int64_t row) {
  constexpr auto kParts = parts_of(kRows);
  int64_t column = 0;
  for (; column + kParts * kPartLanes <= p.columns; column += kParts * kPartLanes) {
    sums.template add_tile<kRows, kParts>(p, row, column);
  }
  for (; column < p.columns; column += kPartLanes) {
    sums.template add_tile<kRows, 1>(p, row, column);
  }
}

template <typename Sums>
void multiply_all_rows(const PanelProduct& p, const Sums& sums) {
  // Blocks of nearly the same size: one of a single row would wait for its sums.
  const auto blocks = (p.rows + kRowsAtOnce - 1) / kRowsAtOnce;
  for (int64_t block = 0, row = 0; block < blocks; ++block) {
    const auto rows = (p.rows - row + blocks - block - 1) / (blocks - block);
    switch (rows) {
      case 1:
        multiply_rows<1>(p, sums, row);
        break;
      case 2:
        multiply_rows<2>(p, sums, row);
        break;
      case 3:
        multiply_rows<3>(p, sums, row);
        break;
      case 4:
        multiply_rows<4>(p, sums, row);
        break;
      case 5:
        multiply_rows<5>(p, sums, row);
        break;
      default:
        multiply_rows<6>(p, sums, row);
        break;
    }
    row += rows;
  }
}

void MultiplyFp32(const PanelProduct& p) {
  for_each_panel(p, [](const PanelProduct& one) HWY_ATTR {
    multiply_all_rows(
        one, CarriedSums<Fp32Steps>{{reinterpret_cast<const float*>(one.weights), one.columns}});
  });
}

void MultiplyBf16(const PanelProduct& p) {
  for_each_panel(p, [](const PanelProduct& one) HWY_ATTR {
    multiply_all_rows(
        one, CarriedSums<Bf16Steps>{{reinterpret_cast<const uint16_t*>(one.weights), one.columns}});
  });
}

void StorePanel(const PanelResult& result) {
  with_type(result.y, [&](auto* y) HWY_ATTR {
    for (int64_t row = 0; row < result.rows; ++row) {
      const auto* const sums = result.sums + row * kPanelColumns;
      auto* const to = y + row * result.y_stride;
      for_each_vector(static_cast<size_t>(result.columns), [=](size_t i, size_t count) HWY_ATTR {
        const auto sum = load(sums + i, count);
        store(sum, to + i, count);
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
  return {.fp32 =
              [](const PanelProduct& p) {
                HWY_DYNAMIC_DISPATCH(MultiplyFp32)
                (p);
              },
          .bf16 =
              [](const PanelProduct& p) {
                HWY_DYNAMIC_DISPATCH(MultiplyBf16)
                (p);
              }};
}

void store_panel(const PanelResult& result) {
  HWY_DYNAMIC_DISPATCH(StorePanel)(result);
}

}  // namespace loopbank::ops
#endif
