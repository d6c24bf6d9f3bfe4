#pragma once
/// What ops share: the accumulation type, how far a result may be off, shape checks whose error
/// names both shapes.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
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

/// Checks of an op's inputs, each with a sentence that starts with the op's name. What is there is
/// shown; an undefined tensor is "none".
/// @throws Error kShape `op: expected NAME of shape EXPECTED, got ACTUAL.` when they differ
void expect_shape(std::string_view op, std::string_view name, const at::Tensor& tensor,
                  at::IntArrayRef expected);
/// @throws Error kShape for another number of dimensions
void expect_dimensions(std::string_view op, std::string_view name, const at::Tensor& tensor,
                       int64_t count);
/// [..., D]: values in rows.
/// @throws Error kShape for fewer dimensions, kDtype where the values are no floating-point numbers
void expect_rows(std::string_view op, std::string_view name, const at::Tensor& tensor,
                 int64_t fewest_dimensions = 1);
/// @throws Error kDtype for another dtype
void expect_dtype(std::string_view op, std::string_view name, const at::Tensor& tensor,
                  at::ScalarType expected);
/// One pass over the ids of a CPU; a GPU's are not looked at, since that would wait for it.
/// @param ignored  an id that may stand there as well
/// @throws Error kDtype when they are not int64, kData naming the first one outside [0, count)
void expect_ids(std::string_view op, std::string_view name, const at::Tensor& ids, int64_t count,
                std::optional<int64_t> ignored = std::nullopt);

}  // namespace loopbank::ops
