#pragma once
/// AdamW and the norm of gradients as vector loops over plain memory; the equations are in
/// optimizer.h.

#include <cstddef>

namespace loopbank {

/// Squares that are summed in fp32: sums of so many keep six digits.
constexpr size_t kSquaresInFp32 = 4096;

/// Contiguous values of a parameter, and what belongs to each.
struct AdamwRange {
  float* value = nullptr;
  const float* gradient = nullptr;  ///< null for zeros
  float* first_moment = nullptr;
  float* second_moment = nullptr;
  size_t count = 0;
};

struct AdamwCoefficients {
  float beta1 = 0.9F;
  float beta2 = 0.95F;
  float rest1 = 0.1F;   ///< 1 - beta1
  float rest2 = 0.05F;  ///< 1 - beta2
  float eps = 1e-8F;
  float decay = 1.0F;            ///< 1 - r wd
  float step_size = 0.0F;        ///< r / (1 - b1^k)
  float root_correction = 1.0F;  ///< 1 / sqrt(1 - b2^k)
  float gradient_scale = 1.0F;
};

/// One step of every value in the range: memory is read and written once.
void adamw_step(const AdamwRange& range, const AdamwCoefficients& by);

/// The sum of x^2: fp32 within kSquaresInFp32 values, fp64 over them.
double sum_of_squares(const float* x, size_t count);

}  // namespace loopbank
