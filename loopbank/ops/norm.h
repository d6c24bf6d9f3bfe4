#pragma once
/// Normalisation over the last axis, computed in fp32 whatever the input.

#include <ATen/core/Tensor.h>

#include "loopbank/ops/check.h"

namespace loopbank::ops {

/// rms_norm against exact arithmetic.
inline constexpr Tolerance kRmsNormTolerance{.fp32 = 2e-6, .bf16 = kOneRoundingToBf16};

/// layer_norm against exact arithmetic, rows of equal values included: there the rounding of x is
/// magnified by up to 1 / sqrt(eps).
inline constexpr Tolerance kLayerNormTolerance{.fp32 = 2e-5, .bf16 = kOneRoundingToBf16};

/// Root-mean-square norm.
///
///     y = x / sqrt(mean(x^2) + eps) * w                               (SPEC 1, Norm)
///
/// @param x       [..., D]  fp32, bf16 or fp64
/// @param weight  [D]       fp32
/// @param out     dtype of the result
/// @return y [..., D] in `out`; differentiable in x and weight
/// @throws Error kShape when D differs
/// Numerics: squares, mean and product in fp32 (fp64 for fp64 input), one rounding at the end;
/// within kRmsNormTolerance.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType out);

/// Layer norm, used on the memory path.
///
///     y = (x - mean(x)) / sqrt(var(x) + eps) * w + b                  (SPEC 1, Norm)
///
/// @param x             [..., D]  fp32, bf16 or fp64
/// @param weight, bias  [D]       fp32
/// @return y [..., D] in `out`; differentiable in x, weight and bias
/// @throws Error kShape when D differs
/// Numerics: as rms_norm; the variance is the mean of squared differences (no Bessel term);
/// within kLayerNormTolerance.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps, at::ScalarType out);

}  // namespace loopbank::ops
