#include "loopbank/ops/simd/panel_kernels.h"

#include <algorithm>

#ifndef LOOPBANK_OPS_PANEL_KERNELS_ONCE
#define LOOPBANK_OPS_PANEL_KERNELS_ONCE
namespace loopbank::ops {

/// From so many rows on codes are decoded once for all of them, so many groups at a time: 64 KB.
constexpr int64_t kFewestRowsToDecode = 12;
constexpr int64_t kGroupsDecodedAtOnce = 8;

}  // namespace loopbank::ops
#endif

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

/// Four k of codes of 8 bits in two's complement.
struct Int8Steps {
  static constexpr int64_t kDepth = 4;
  const char* codes;
  int64_t columns;

  HWY_INLINE PartVector weight(int64_t k, int64_t within, int64_t column) const {
    const hn::RebindToSigned<StripPart> d32;
    const auto* const words = codes + k * columns + column / 4 * 16;
#if HWY_TARGET == HWY_SCALAR
    const auto place = within / 2 * 8 + column % 4 * 2 + within % 2;
    const auto code = hn::Set(d32, static_cast<signed char>(words[place]));
#else
    const hn::Repartition<uint16_t, StripPart> d16;
    const auto raw = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(words));
    // Both halves of a column's word: two k.
    const auto twice =
        within < 2 ? hn::InterleaveLower(d16, raw, raw) : hn::InterleaveUpper(d16, raw, raw);
    const auto pairs = hn::BitCast(d32, twice);
    const auto code = hn::ShiftRight<24>(within % 2 == 0 ? hn::ShiftLeft<8>(pairs) : pairs);
#endif
    return hn::ConvertTo(StripPart(), code);
  }
};

/// Eight k of codes of 4 bits in two's complement.
struct Int4Steps {
  static constexpr int64_t kDepth = 8;
  const char* codes;
  int64_t columns;

  HWY_INLINE PartVector weight(int64_t k, int64_t within, int64_t column) const {
    const hn::RebindToSigned<StripPart> d32;
    const auto words =
        hn::LoadU(d32, reinterpret_cast<const int32_t*>(codes + k * columns / 2 + column * 4));
    const auto bit = static_cast<int>(16 * (within % 2) + 4 * (within / 2));
    return hn::ConvertTo(StripPart(), hn::ShiftRight<28>(hn::ShiftLeftSame(words, 28 - bit)));
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
      HWY_UNROLL(4)
      for (int64_t part = 0; part < kParts; ++part) {
        weight[part] = steps.weight(k, within, column + part * kPartLanes);
      }
      HWY_UNROLL(8)
      for (int64_t i = 0; i < kRows; ++i) {
        const auto value = hn::Set(StripPart(), x[i * x_stride + k + within]);
        HWY_UNROLL(4)
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
      HWY_UNROLL(4)
      for (int64_t part = 0; part < kParts; ++part) {
        sum[i][part] =
            p.add ? hn::LoadU(d, sums + i * kPanelColumns + part * kPartLanes) : hn::Zero(d);
      }
    }
    add_steps(sum, static_cast<const float*>(p.x) + row * p.x_stride, p.x_stride, steps, column,
              p.depth);
    HWY_UNROLL(8)
    for (int64_t i = 0; i < kRows; ++i) {
      HWY_UNROLL(4)
      for (int64_t part = 0; part < kParts; ++part) {
        hn::StoreU(sum[i][part], d, sums + i * kPanelColumns + part * kPartLanes);
      }
    }
  }
};

HWY_INLINE PartVector load_scales(const char* scales, int64_t column) {
  const StripPart d;
  const hn::RebindToUnsigned<StripPart> d32;
  const hn::Rebind<uint16_t, StripPart> d16;
  const auto narrow = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(scales) + column);
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, narrow)));
}

/// Sums of codes: a group's by itself, then sums += scale * it.
template <typename Steps>
struct GroupedSums {
  const char* codes;     // of the first group
  int64_t group_stride;  // bytes from the codes of a group to the next
  const char* scales;
  int64_t scale_stride;

  template <int64_t kRows, int64_t kParts>
  HWY_INLINE void add_tile(const PanelProduct& p, int64_t row, int64_t column) const {
    const StripPart d;
    const auto* const x = static_cast<const float*>(p.x) + row * p.x_stride;
    float* const sums = p.sums + row * kPanelColumns + column;
    for (int64_t group = 0; group < p.depth / kCodesPerGroup; ++group) {
      PartVector sum[kRows][kParts];
      HWY_UNROLL(8)
      for (int64_t i = 0; i < kRows; ++i) {
        HWY_UNROLL(4)
        for (int64_t part = 0; part < kParts; ++part) {
          sum[i][part] = hn::Zero(d);
        }
      }
      const auto* const at = codes + group * group_stride;
      const Steps steps{reinterpret_cast<decltype(Steps::codes)>(at), p.columns};
      add_steps(sum, x + group * kCodesPerGroup, p.x_stride, steps, column, kCodesPerGroup);
      const bool add = p.add || group > 0;
      HWY_UNROLL(4)
      for (int64_t part = 0; part < kParts; ++part) {
        const auto scale = load_scales(scales + group * scale_stride, column + part * kPartLanes);
        HWY_UNROLL(8)
        for (int64_t i = 0; i < kRows; ++i) {
          float* const to = sums + i * kPanelColumns + part * kPartLanes;
          const auto before = add ? hn::LoadU(d, to) : hn::Zero(d);
          hn::StoreU(hn::MulAdd(scale, sum[i][part], before), d, to);
        }
      }
    }
  }
};

template <int64_t kRows, typename Sums>
HWY_NOINLINE void multiply_rows(const PanelProduct& p, const Sums& sums, int64_t row) {
  int64_t column = 0;
  for (; column + kPartsAtOnce * kPartLanes <= p.columns; column += kPartsAtOnce * kPartLanes) {
    sums.template add_tile<kRows, kPartsAtOnce>(p, row, column);
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
  multiply_all_rows(p, CarriedSums<Fp32Steps>{{static_cast<const float*>(p.weights), p.columns}});
}

void MultiplyBf16(const PanelProduct& p) {
  multiply_all_rows(p,
                    CarriedSums<Bf16Steps>{{static_cast<const uint16_t*>(p.weights), p.columns}});
}

/// The codes of a group in fp32, as a panel of fp32 has them.
template <typename Steps>
HWY_INLINE void decode_group(const Steps& steps, float* decoded) {
  for (int64_t k = 0; k < kCodesPerGroup; k += Steps::kDepth) {
    for (int64_t column = 0; column < steps.columns; column += kPartLanes) {
      HWY_UNROLL(8)
      for (int64_t within = 0; within < Steps::kDepth; ++within) {
        hn::StoreU(steps.weight(k, within, column), StripPart(),
                   decoded + (k + within) * steps.columns + column);
      }
    }
  }
}

template <typename Steps>
void multiply_codes(const PanelProduct& p, int64_t bits, float* decoded) {
  const auto scale_bytes = p.columns * static_cast<int64_t>(sizeof(uint16_t));
  const auto group_bytes = scale_bytes + p.columns * kCodesPerGroup * bits / 8;
  const auto* const panel = static_cast<const char*>(p.weights);
  if (p.rows < kFewestRowsToDecode) {
    multiply_all_rows(p, GroupedSums<Steps>{panel + scale_bytes, group_bytes, panel, group_bytes});
    return;
  }
  const auto decoded_values = p.columns * kCodesPerGroup;
  const auto groups = p.depth / kCodesPerGroup;
  for (int64_t first = 0; first < groups; first += kGroupsDecodedAtOnce) {
    const auto count = std::min(kGroupsDecodedAtOnce, groups - first);
    const auto* const from = panel + first * group_bytes;
    for (int64_t group = 0; group < count; ++group) {
      decode_group(Steps{from + group * group_bytes + scale_bytes, p.columns},
                   decoded + group * decoded_values);
    }
    auto part = p;
    part.x = static_cast<const float*>(p.x) + first * kCodesPerGroup;
    part.depth = count * kCodesPerGroup;
    part.add = p.add || first > 0;
    multiply_all_rows(
        part, GroupedSums<Fp32Steps>{reinterpret_cast<const char*>(decoded),
                                     decoded_values * static_cast<int64_t>(sizeof(float)), from,
                                     group_bytes});
  }
}

void MultiplyInt8(const PanelProduct& p, float* decoded) {
  multiply_codes<Int8Steps>(p, 8, decoded);
}

void MultiplyInt4(const PanelProduct& p, float* decoded) {
  multiply_codes<Int4Steps>(p, 4, decoded);
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
HWY_EXPORT(MultiplyInt8);
HWY_EXPORT(MultiplyInt4);
HWY_EXPORT(StorePanel);

namespace {

/// Room of the calling thread for decoded codes.
float* room_for_codes() {
  alignas(64) thread_local float decoded[kGroupsDecodedAtOnce * kCodesPerGroup * kPanelColumns];
  return decoded;
}

}  // namespace

PanelKernels vector_panel_kernels() {
  return {
      .fp32 = [](const PanelProduct& p) { HWY_DYNAMIC_DISPATCH(MultiplyFp32)
                                          (p); },
      .bf16 = [](const PanelProduct& p) { HWY_DYNAMIC_DISPATCH(MultiplyBf16)
                                          (p); },
      .int8 =
          [](const PanelProduct& p) { HWY_DYNAMIC_DISPATCH(MultiplyInt8)
                                      (p, room_for_codes()); },
      .int4 =
          [](const PanelProduct& p) { HWY_DYNAMIC_DISPATCH(MultiplyInt4)
                                      (p, room_for_codes()); }};
}

void store_panel(const PanelResult& result) {
  HWY_DYNAMIC_DISPATCH(StorePanel)(result);
}

}  // namespace loopbank::ops
#endif
