#pragma once
/// Where a panel's codes and a row's numbers stand (panel_codes.h), for the kernels of each
/// instruction set.

#include <cstdint>
#include <cstring>

#include "loopbank/ops/simd/panel_codes.h"
#include "loopbank/ops/simd/panel_kernels.h"

namespace loopbank::ops {

inline constexpr int64_t kGroupSteps = kGroupInputs / 4;  // of four k, a group's
inline constexpr int64_t kStepBytes = 4;                  // of a column

/// Where the codes of a group of a pair stand.
struct GroupCodes {
  const char* scales;  // of the pair
  const char* codes;
  int64_t step_bytes;  // to the next four k
};

/// Of a pair of groups.
template <int64_t kBits>
inline int64_t pair_bytes(int64_t columns) {
  return columns * (kStepBytes + kPairInputs * kBits / 8);
}

template <int64_t kBits>
inline GroupCodes group_of_pair(const CodeProduct& p, int64_t pair, int64_t half) {
  const auto* const scales = p.weights + pair * pair_bytes<kBits>(p.columns);
  const auto* const codes = scales + p.columns * kStepBytes;
  return {scales, kBits == 8 ? codes + half * p.columns * kGroupInputs : codes,
          p.columns * kStepBytes};
}

/// The numbers of a row from a group on.
struct GroupOfRow {
  const char* digits;  // the low bytes stand `width` further on
  float step;
  int32_t offset;
};

inline GroupOfRow group_of_row(const CodeProduct& p, int64_t row, int64_t k, int64_t digit_bytes) {
  const auto* const from = p.x + row * p.x_bytes;
  const auto* const steps = from + 2 * p.width + k / kGroupInputs * kStepBytes;
  GroupOfRow group{.digits = from + k * digit_bytes, .step = 0.0F, .offset = 0};
  std::memcpy(&group.step, steps, sizeof(group.step));
  std::memcpy(&group.offset, steps + p.width / kGroupInputs * kStepBytes, sizeof(group.offset));
  return group;
}

inline int32_t word_at(const char* bytes) {
  int32_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

}  // namespace loopbank::ops
