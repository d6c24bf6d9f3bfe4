#pragma once
/// What ops share: the accumulation type, how far a result may be off, shape checks whose error
/// names both shapes.

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

namespace loopbank::ops {

/// The type of sums: fp64 for fp64, fp32 for everything else.
inline at::ScalarType accumulation_type(at::ScalarType type) {
  return type == at::kDouble ? at::kDouble : at::kFloat;
}

/// How far an element of a result in each dtype may lie from the value in exact arithmetic on the
/// same inputs, as |result - exact| / max(1, |exact|).
struct Tolerance {
  double fp32;
  double bf16;
  double fp64 = 1e-12;

  [[nodiscard]] double of(at::ScalarType type) const {
    return type == at::kDouble ? fp64 : type == at::kBFloat16 ? bf16 : fp32;
  }
};

/// Half a unit in the last of bf16's 8 bits, plus a little for the fp32 before it: the error when
/// everything is computed in fp32 and rounded once.
inline constexpr double kOneRoundingToBf16 = 0.00391;

/// `[2, 3, 4]`.
std::string format_shape(at::IntArrayRef shape);

/// @throws Error kShape `op: expected NAME of shape EXPECTED, got ACTUAL.` when they differ
void expect_shape(std::string_view op, std::string_view name, const at::Tensor& tensor,
                  at::IntArrayRef expected);

}  // namespace loopbank::ops
