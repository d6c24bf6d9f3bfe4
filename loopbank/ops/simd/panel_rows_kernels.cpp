/// Rows in 16 bit with a step for every 32 inputs (panel_codes.h).

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "loopbank/ops/simd/panel_codes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/ops/simd/panel_rows_kernels.cpp"
#include <hwy/foreach_target.h>

#include "loopbank/ops/simd/simd-inl.h"

#ifndef LOOPBANK_OPS_PANEL_ROWS_ONCE
#define LOOPBANK_OPS_PANEL_ROWS_ONCE
namespace loopbank::ops {

/// The largest x' is below 2^15 and no more than 127 * 256 + 127, what two signed bytes hold.
constexpr float kRoomForDigits = 32768.0F / 32639.0F;
constexpr uint32_t kExponent = 0x7F800000U;
constexpr uint32_t kOneExponent = 1U << 23U;
constexpr uint32_t kSmallestStep = 27 * kOneExponent;  // 2^-100, whose inverse is a number
constexpr uint32_t kInversePair =
    254 * kOneExponent;  // exponents of a power of two and its inverse

/// Where code_row writes to.
struct CodedRowPlace {
  CodedDigits digits;
  int64_t bits;
  int64_t width;
  char* row;
};

inline void write_words(const int32_t (&digits)[kGroupInputs], char* to) {
  int16_t words[kGroupInputs];
  for (int64_t i = 0; i < kGroupInputs; i += 4) {
    words[i] = static_cast<int16_t>(digits[i]);
    words[i + 1] = static_cast<int16_t>(digits[i + 2]);
    words[i + 2] = static_cast<int16_t>(digits[i + 1]);
    words[i + 3] = static_cast<int16_t>(digits[i + 3]);
  }
  std::memcpy(to, words, sizeof(words));
}

/// The step and what the codes' offset adds too much. Odd groups of 4-bit codes are multiplied as
/// they stand in the upper half of a byte, sixteen times as large, where digits are bytes.
inline void write_step(const CodedRowPlace& place, int64_t group, float step, int32_t sum) {
  const bool upper = place.bits == 4 && place.digits == CodedDigits::kBytes && group % 2 == 1;
  const auto offset = -sum * (place.bits == 8 || upper ? 128 : 8);
  step = upper ? step / 16.0F : step;
  auto* const steps = place.row + 2 * place.width;
  std::memcpy(steps + group * 4, &step, sizeof(step));
  std::memcpy(steps + (place.width / kGroupInputs + group) * 4, &offset, sizeof(offset));
}

}  // namespace loopbank::ops
#endif

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

/// At most sixteen, so that a group is some whole vectors.
using GroupPart = hn::CappedTag<float, 16>;
constexpr int64_t kGroupLanes = static_cast<int64_t>(hn::MaxLanes(GroupPart()));

HWY_INLINE hn::Vec<GroupPart> load_part(const float* from) {
  return hn::LoadU(GroupPart(), from);
}

/// bf16 as the upper half of fp32.
HWY_INLINE hn::Vec<GroupPart> load_part(const uint16_t* from) {
  const hn::RebindToUnsigned<GroupPart> d32;
  const hn::Rebind<uint16_t, GroupPart> d16;
  return hn::BitCast(GroupPart(), hn::ShiftLeft<16>(hn::PromoteTo(d32, hn::LoadU(d16, from))));
}

/// @param x  32 values
template <typename T>
HWY_INLINE float step_of_group(const T* x) {
  const GroupPart d;
  auto most = hn::Zero(d);
  auto none = hn::Zero(d);  // NaN where a value is not finite
  HWY_UNROLL(8)
  for (int64_t i = 0; i < kGroupInputs; i += kGroupLanes) {
    const auto value = load_part(x + i);
    most = hn::Max(most, hn::Abs(value));
    none = hn::Add(none, hn::Sub(value, value));
  }
  if (!hn::AllTrue(d, hn::Eq(none, none))) {
    return std::numeric_limits<float>::quiet_NaN();
  }
  const auto largest = hn::GetLane(hn::MaxOfLanes(d, most)) * kRoomForDigits;
  const auto exponent = std::bit_cast<uint32_t>(largest) & kExponent;
  return std::bit_cast<float>(std::max(exponent, kSmallestStep + 14 * kOneExponent) -
                              14 * kOneExponent);
}

template <typename T>
HWY_INLINE void code_group(const T* x, const CodedRowPlace& place, int64_t group) {
  const GroupPart d;
  const hn::RebindToSigned<GroupPart> d32;
  const hn::Rebind<int8_t, GroupPart> d8;
  const auto step = step_of_group(x);
  const auto inverse =
      hn::Set(d, std::bit_cast<float>(kInversePair - std::bit_cast<uint32_t>(step)));
  auto* const to = place.row + group * kGroupInputs;
  alignas(64) int32_t words[kGroupInputs];
  auto sum = hn::Zero(d32);
  HWY_UNROLL(8)
  for (int64_t i = 0; i < kGroupInputs; i += kGroupLanes) {
    const auto digits = hn::NearestInt(hn::Mul(load_part(x + i), inverse));
    sum = hn::Add(sum, digits);
    if (place.digits == CodedDigits::kWords) {
      hn::Store(digits, d32, words + i);
      continue;
    }
    const auto half = hn::Set(d32, 128);
    const auto low = hn::Sub(hn::And(hn::Add(digits, half), hn::Set(d32, 255)), half);
    const auto high = hn::ShiftRight<8>(hn::Sub(digits, low));
    hn::StoreU(hn::DemoteTo(d8, high), d8, reinterpret_cast<int8_t*>(to) + i);
    hn::StoreU(hn::DemoteTo(d8, low), d8, reinterpret_cast<int8_t*>(to) + place.width + i);
  }
  if (place.digits == CodedDigits::kWords) {
    write_words(words, place.row + group * 2 * kGroupInputs);
  }
  write_step(place, group, step, hn::GetLane(hn::SumOfLanes(d32, sum)));
}

void CodeRow(ConstValues x, int64_t count, const CodedRowPlace& place) {
  with_type(x, [&]<typename T>(const T* values) HWY_ATTR {
    const auto whole = count / kGroupInputs;
    for (int64_t group = 0; group < whole; ++group) {
      code_group(values + group * kGroupInputs, place, group);
    }
    for (int64_t group = whole; group < place.width / kGroupInputs; ++group) {
      T some[kGroupInputs] = {};
      const auto first = group * kGroupInputs;
      std::copy_n(values + first, std::max<int64_t>(count - first, 0), some);
      code_group(some, place, group);
    }
  });
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank::ops {

HWY_EXPORT(CodeRow);

void code_row(ConstValues x, int64_t count, CodedDigits digits, int64_t bits, int64_t width,
              char* to) {
  HWY_DYNAMIC_DISPATCH(CodeRow)(x, count, {digits, bits, width, to});
}

}  // namespace loopbank::ops
#endif
