#pragma once
/// Checks that ops share: the accumulation type, shapes with a sentence that names both.

#include <ATen/core/Tensor.h>

#include <string_view>

namespace loopbank::ops {

/// The type that sums are kept in: fp64 for fp64, fp32 for everything else.
inline at::ScalarType accumulation_type(at::ScalarType type) {
  return type == at::kDouble ? at::kDouble : at::kFloat;
}

/// `[2, 3, 4]`.
std::string format_shape(at::IntArrayRef shape);

/// @throws Error kShape `op: expected NAME of shape EXPECTED, got ACTUAL` when they differ
void expect_shape(std::string_view op, std::string_view name, const at::Tensor& tensor,
                  at::IntArrayRef expected);

}  // namespace loopbank::ops
