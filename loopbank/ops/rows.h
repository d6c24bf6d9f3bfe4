#pragma once
/// Rows of hidden states, picked, added to others and compared: what is done to the tokens that
/// still think between two loops. For inference: not differentiable.
///
/// A row's result is the same to the bit whatever rows stand beside it and on any number of
/// threads.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "loopbank/ops/check.h"

namespace loopbank::ops {

/// relative_change and relative_acceleration against exact arithmetic on the same fp32 states: the
/// squares of D <= 4096 differences are summed in fp32.
inline constexpr double kRelativeChangeTolerance = 3e-6;

/// The rows of h that are listed, in the order of the list.
///
/// @param h     [r, D]  any dtype
/// @param list  of rows of h; a row may occur more than once
/// @return [list's size, D]
/// @throws Error kShape when h is no matrix, kData naming the first number outside [0, r)
at::Tensor gather_rows(const at::Tensor& h, std::span<const int64_t> list);

/// y[rows[i]] += weights[i] * h[i], for i = 0, 1, ... in this order.
///
/// @param y        [R, D]  fp32, without gaps; changed in place
/// @param rows     [r]     rows of y; where one occurs more than once, all are added
/// @param weights  [r]
/// @param h        [r, D]  fp32
/// @throws Error kShape when sizes do not fit or y has gaps, kDtype when one is not in fp32, kData
///         naming the first row outside [0, R)
/// Numerics: product and sum rounded once where the CPU can, else each.
void weighted_add_rows(const at::Tensor& y, std::span<const int64_t> rows,
                       std::span<const float> weights, const at::Tensor& h);

/// |h - before| / |before| of each row: what the exit rule `change` reads            (SPEC 6)
///
/// @param h, before  [r, D]  fp32
/// @return [r] fp32; where |before| is 0, infinity, or NaN if h is 0 as well
/// @throws Error kShape when the shapes differ, kDtype when one is not in fp32
/// Numerics: within kRelativeChangeTolerance, relative to the result.
at::Tensor relative_change(const at::Tensor& h, const at::Tensor& before);

/// |d_t - d_(t-1)| / |d_t| of each row, d_t = h^(t) - h^(t-1): what the exit rule `accel` reads
///                                                                                 (SPEC 6)
/// @param h, before, earlier  [r, D]  h^(t), h^(t-1), h^(t-2); fp32
/// @return [r] fp32; where d_t is 0, infinity, or NaN if d_(t-1) is 0 as well
/// @throws as relative_change
/// Numerics: as relative_change, on differences rounded to fp32.
at::Tensor relative_acceleration(const at::Tensor& h, const at::Tensor& before,
                                 const at::Tensor& earlier);

}  // namespace loopbank::ops
