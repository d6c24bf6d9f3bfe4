#pragma once
/// The angles that the attention tests rotate by: of base 10000, on the CPU.

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>

#include <cstdint>
#include <vector>

#include "loopbank/ops/rotary.h"

namespace loopbank::testing {

/// Of the positions 0 to `steps`, for heads of `width` values.
inline ops::RotaryTable angles_of_steps(int64_t steps, int64_t width) {
  return ops::rotary_table(0, steps, width, 10000.0, at::kCPU);
}

/// Of these positions.
inline ops::RotaryTable angles_at(const std::vector<int64_t>& positions, int64_t width) {
  return ops::rotary_table(at::tensor(positions, at::kLong), width, 10000.0, at::kCPU);
}

}  // namespace loopbank::testing
