#pragma once
/// The sums of rows.h in vector code. Free of ATen.

#include <cstddef>

namespace loopbank::ops {

/// y += weight * h, `count` values.
void add_weighted(const float* h, float weight, size_t count, float* y);

/// |h - before|^2 of `count` values, and |before|^2.
struct SquaredChange {
  float difference = 0.0F;
  float before = 0.0F;
};

[[nodiscard]] SquaredChange squared_change(const float* h, const float* before, size_t count);

/// |(h - before) - (before - earlier)|^2, and |h - before|^2.
[[nodiscard]] SquaredChange squared_acceleration(const float* h, const float* before,
                                                 const float* earlier, size_t count);

}  // namespace loopbank::ops
