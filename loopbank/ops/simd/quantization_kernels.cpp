#include "loopbank/ops/simd/quantization_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "loopbank/ops/simd/panel_codes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/ops/simd/quantization_kernels.cpp"
#include <hwy/foreach_target.h>

#include "loopbank/ops/simd/simd-inl.h"

#ifndef LOOPBANK_OPS_QUANTIZATION_ONCE
#define LOOPBANK_OPS_QUANTIZATION_ONCE
namespace loopbank::ops {

constexpr float kMost8 = 127.0F;
constexpr int kMost4 = 8;  // codes are -8..7
constexpr float kSmallestScale = 0x1p-100F;
constexpr float kLargest = 0x1p113F;  // such that no product of code and scale overflows

/// The largest value of a group becomes -6 to -9 before it is limited to -8.
constexpr int kScalesTried = 16;
constexpr float kFirstDivisor = -6.0F;
constexpr float kLastDivisor = -9.0F;

/// fp32 to the nearest bf16, ties to even; of finite values.
inline float rounded_to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) & 0xFFFF0000U);
}

/// The first value of the largest magnitude.
inline float peak_of(const float* values, float most) {
  return *std::find_if(values, values + kGroupInputs,
                       [most](float value) { return std::fabs(value) == most; });
}

/// Writes the codes of a group that are there; `to` is the row's first byte.
inline void write_codes(const int8_t* codes, int64_t first, int64_t count,
                        const RowToQuantize& row) {
  if (row.bits == 8) {
    std::memcpy(row.codes + first, codes, static_cast<size_t>(count));
    return;
  }
  for (int64_t i = 0; i < count; i += 2) {  // beyond an odd end stands the zero of the filling
    row.codes[(first + i) / 2] =
        static_cast<uint8_t>(static_cast<unsigned>(codes[i] + kMost4) |
                             static_cast<unsigned>(codes[i + 1] + kMost4) << 4U);
  }
}

}  // namespace loopbank::ops
#endif

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

/// At most sixteen, so that a group is some whole vectors.
using WeightPart = hn::CappedTag<float, 16>;
using WeightVector = hn::Vec<WeightPart>;
constexpr int64_t kWeightLanes = static_cast<int64_t>(hn::MaxLanes(WeightPart()));

/// The largest magnitude; infinity where a value is not a number.
HWY_INLINE float largest_magnitude(const float* values) {
  const WeightPart d;
  auto most = hn::Zero(d);
  auto are_numbers = hn::Eq(most, most);
  HWY_UNROLL(8)
  for (int64_t i = 0; i < kGroupInputs; i += kWeightLanes) {
    const auto value = hn::Load(d, values + i);
    are_numbers = hn::And(are_numbers, hn::Eq(value, value));
    most = hn::Max(most, hn::Abs(value));
  }
  return hn::AllTrue(d, are_numbers) ? hn::GetLane(hn::MaxOfLanes(d, most))
                                     : std::numeric_limits<float>::infinity();
}

HWY_INLINE WeightVector limited(WeightVector value, float least, float most) {
  const WeightPart d;
  return hn::Clamp(hn::Round(value), hn::Set(d, least), hn::Set(d, most));
}

HWY_INLINE WeightVector limited_to_4_bits(WeightVector value) {
  return limited(value, -static_cast<float>(kMost4), static_cast<float>(kMost4 - 1));
}

HWY_INLINE WeightVector codes_of_4_bits(WeightVector value, WeightVector scale) {
  return limited_to_4_bits(hn::Div(value, scale));
}

/// Whether all values are codes of this scale.
HWY_INLINE bool lie_on_grid(const float* values, float scale) {
  const WeightPart d;
  const auto step = hn::Set(d, scale);
  for (int64_t i = 0; i < kGroupInputs; i += kWeightLanes) {
    const auto value = hn::Load(d, values + i);
    if (!hn::AllTrue(d, hn::Eq(hn::Mul(codes_of_4_bits(value, step), step), value))) {
      return false;
    }
  }
  return true;
}

/// The largest scale of which all values are multiples, if there is one; else 0. It depends on the
/// values alone, so that what was quantized once comes out as it went in.
/// @param peak  the first value of the largest magnitude
HWY_INLINE float exact_scale_of_4_bits(const float* values, float peak) {
  for (int code = 1; code <= kMost4; ++code) {
    const float scale = peak / static_cast<float>(-code);
    if (rounded_to_bf16(scale) == scale && scale * static_cast<float>(-code) == peak &&
        lie_on_grid(values, scale)) {
      return scale;
    }
  }
  return 0.0F;
}

/// The scale of the least squared error, the first of equals.
HWY_INLINE float searched_scale_of_4_bits(const float* values, float peak) {
  const WeightPart d;
  const auto per_peak = hn::Set(d, 1.0F / peak);
  float best = 0.0F;
  float least = std::numeric_limits<float>::infinity();
  for (int tried = 0; tried < kScalesTried; ++tried) {
    const float part = static_cast<float>(tried) / static_cast<float>(kScalesTried - 1);
    const float scale =
        rounded_to_bf16(peak / (kFirstDivisor + part * (kLastDivisor - kFirstDivisor)));
    const auto step = hn::Set(d, scale);
    const auto per_step = hn::Set(d, 1.0F / scale);  // near enough to choose by
    auto error = hn::Zero(d);
    HWY_UNROLL(8)
    for (int64_t i = 0; i < kGroupInputs; i += kWeightLanes) {
      const auto value = hn::Load(d, values + i);
      const auto code = limited_to_4_bits(hn::Mul(value, per_step));
      // The product of code and scale is exact, whether or not it is rounded before the sum.
      const auto off = hn::Sub(hn::Mul(code, step), value);
      const auto relative = hn::Mul(off, per_peak);
      error = hn::MulAdd(relative, relative, error);
    }
    const float sum = hn::GetLane(hn::SumOfLanes(d, error));
    if (sum < least) {
      least = sum;
      best = scale;
    }
  }
  return best;
}

/// 0 where all codes are to be 0. Where a scale is searched, the values become what its codes stand
/// for, and it the scale that they would get by themselves.
HWY_INLINE float scale_of_4_bits(float* values, float most) {
  if (most == 0.0F) {
    return 0.0F;
  }
  const float peak = peak_of(values, most);
  const float exact = exact_scale_of_4_bits(values, peak);
  if (exact != 0.0F || most < kSmallestScale * static_cast<float>(kMost4)) {
    return exact;
  }
  const WeightPart d;
  const auto step = hn::Set(d, searched_scale_of_4_bits(values, peak));
  HWY_UNROLL(8)
  for (int64_t i = 0; i < kGroupInputs; i += kWeightLanes) {
    hn::Store(hn::Mul(codes_of_4_bits(hn::Load(d, values + i), step), step), d, values + i);
  }
  return exact_scale_of_4_bits(values, peak_of(values, largest_magnitude(values)));
}

/// Codes of a group with a scale other than 0.
HWY_INLINE void code_weights(const float* values, float scale, int64_t bits, int8_t* codes) {
  const WeightPart d;
  const hn::Rebind<int8_t, WeightPart> d8;
  const auto step = hn::Set(d, scale);
  HWY_UNROLL(8)
  for (int64_t i = 0; i < kGroupInputs; i += kWeightLanes) {
    const auto value = hn::Load(d, values + i);
    const auto code =
        bits == 8 ? limited(hn::Div(value, step), -kMost8, kMost8) : codes_of_4_bits(value, step);
    hn::StoreU(hn::DemoteTo(d8, hn::NearestInt(code)), d8, codes + i);
  }
}

bool QuantizeRow(const RowToQuantize& row) {
  for (int64_t first = 0; first < row.in; first += kGroupInputs) {
    const auto count = std::min(kGroupInputs, row.in - first);
    HWY_ALIGN float values[kGroupInputs] = {};
    std::copy_n(row.values + first, count, values);
    const float most = largest_magnitude(values);
    if (!(most < kLargest)) {
      return false;
    }
    float scale = row.bits == 8 ? rounded_to_bf16(most / kMost8) : scale_of_4_bits(values, most);
    if (row.bits == 8 && scale < kSmallestScale) {
      scale = 0.0F;
    }
    int8_t codes[kGroupInputs] = {};
    if (scale != 0.0F) {
      code_weights(values, scale, row.bits, codes);
    }
    row.scales[first / kGroupInputs] = static_cast<uint16_t>(std::bit_cast<uint32_t>(scale) >> 16U);
    write_codes(codes, first, count, row);
  }
  return true;
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank::ops {

HWY_EXPORT(QuantizeRow);

bool quantize_row(const RowToQuantize& row) {
  return HWY_DYNAMIC_DISPATCH(QuantizeRow)(row);
}

}  // namespace loopbank::ops
#endif
