#pragma once
/// Rotary position embedding and the norm of queries and keys.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "loopbank/ops/check.h"
#include "loopbank/ops/norm_place.h"

namespace loopbank::ops {

/// A cosine or sine of a table against exact arithmetic: one rounding to fp32.
inline constexpr double kRotaryTableTolerance = 6.1e-8;

/// rotate_and_norm against exact arithmetic on the table's angles.
inline constexpr Tolerance kRotaryNormTolerance{.fp32 = 2e-6, .bf16 = kOneRoundingToBf16};

/// Cosines and sines of the rotary angles of T positions.
struct RotaryTable {
  at::Tensor cosines;  ///< [T, d/2] fp32
  at::Tensor sines;    ///< [T, d/2] fp32
};

/// angle(p, i) = p * base^(-2i / d), i = 0 .. d/2 - 1                  (SPEC 1, Attention)
///
/// Angles are computed in fp64 and rounded once to fp32 after cosine and sine: rounding the
/// angle itself to bf16 would be off by 3.7 rad at position 4095. Within kRotaryTableTolerance.
/// Of positions [first, first + count).
RotaryTable rotary_table(int64_t first, int64_t count, int64_t head_size, double base,
                         at::Device device);

/// What the angles of a position are multiples of, where they are not those of a base alone.
struct RotaryFrequencies {
  at::Tensor radians;      ///< [d/2] fp64, of one position to the next
  double amplitude = 1.0;  ///< of cosines and sines
};

/// base^(-2i / d), i = 0 .. d/2 - 1, in fp64.
/// @throws Error kShape for an odd head_size
RotaryFrequencies rotary_frequencies(int64_t head_size, double base, at::Device device);

/// amplitude * cos and sin of position * radians, at positions [T] int64, on the device of the
/// frequencies; computed and rounded as above.
RotaryTable rotary_table(const at::Tensor& positions, const RotaryFrequencies& frequencies);
/// Of positions [first, first + count).
RotaryTable rotary_table(int64_t first, int64_t count, const RotaryFrequencies& frequencies);

/// The same at any positions, [T] int64.
RotaryTable rotary_table(const at::Tensor& positions, int64_t head_size, double base,
                         at::Device device);

/// Rotates pairs (i, i + d/2) of each head, and norms it at the place that is asked for.
///
///     R x = [x1 cos - x2 sin ; x2 cos + x1 sin]
///     y   = R x,  R rms_norm(x)  or  rms_norm(R x)                         (norm_place.h)
///
/// @param x       [B, H, T, d]  queries or keys, fp32, bf16 or fp64
/// @param table   angles of the T positions
/// @param weight  [d] fp32; not read without a norm
/// @return y [B, H, T, d] in the dtype of x; differentiable in x and weight
/// @throws Error kShape when T or d differ or d is odd
/// Numerics: rotation and norm in fp32, one rounding at the end; within kRotaryNormTolerance.
at::Tensor rotate_and_norm(const at::Tensor& x, const RotaryTable& table, NormPlace place,
                           const at::Tensor& weight, double eps);

/// The same with the norm after the rotation.
at::Tensor rotary_norm(const at::Tensor& x, const RotaryTable& table, const at::Tensor& weight,
                       double eps);

}  // namespace loopbank::ops
