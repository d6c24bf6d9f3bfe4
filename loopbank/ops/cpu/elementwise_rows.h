#pragma once
/// What the fused ops on rows [..., D] share: tensors handed to vector kernels, rows divided among
/// threads, sums over rows.

#include <ATen/core/Tensor.h>
#include <c10/util/FunctionRef.h>

#include <cstddef>
#include <functional>

#include "loopbank/ops/simd/elementwise_values.h"

namespace loopbank::ops {

/// The values of a dense fp32 or bf16 tensor; null for an undefined one.
[[nodiscard]] ConstValues const_values(const at::Tensor& x);

/// The same to write to.
[[nodiscard]] Values values(const at::Tensor& x);

/// A dense tensor's fp32 values; null for an undefined one.
[[nodiscard]] const float* const_floats(const at::Tensor& x);
[[nodiscard]] float* floats(const at::Tensor& x);

/// Calls visit(first, last) for ranges that together are rows 0 to `rows`, from several threads
/// where each gets enough values to be worth waking.
void for_row_ranges(int64_t rows, int64_t width, c10::function_ref<void(size_t, size_t)> visit);

/// Sums over rows, [num_sums] fp32: visit(first, last, sums) adds the part of rows `first` to
/// `last`. Few rows at a time and a sum of those sums, so that thousands of rows lose no digits.
[[nodiscard]] at::Tensor sums_over_rows(int64_t rows, int64_t width, int64_t num_sums,
                                        const std::function<void(size_t, size_t, float*)>& visit);

}  // namespace loopbank::ops
