#include "loopbank/ops/rotary.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/pow.h>

#include "loopbank/ops/check.h"
#include "loopbank/ops/norm.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {

RotaryFrequencies rotary_frequencies(int64_t head_size, double base, at::Device device) {
  if (head_size < 2 || head_size % 2 != 0) {
    fail(ErrorCode::kShape, "rotary_table: expected heads of even width (pairs), got {}.",
         head_size);
  }
  const auto fp64 = at::TensorOptions().dtype(at::kDouble).device(device);
  const auto exponents = at::arange(0, head_size, 2, fp64) / static_cast<double>(head_size);
  return {.radians = at::pow(base, -exponents)};  // [d/2]
}

RotaryTable rotary_table(const at::Tensor& positions, const RotaryFrequencies& frequencies) {
  expect_dimensions("rotary_table", "positions", positions, 1);
  const auto& radians = frequencies.radians;
  const auto angles =
      positions.to(radians.device(), at::kDouble).unsqueeze(1) * radians.unsqueeze(0);  // [T, d/2]
  auto cosines = angles.cos();
  auto sines = angles.sin();
  if (frequencies.amplitude != 1.0) {
    cosines.mul_(frequencies.amplitude);
    sines.mul_(frequencies.amplitude);
  }
  return {cosines.to(at::kFloat), sines.to(at::kFloat)};
}

RotaryTable rotary_table(int64_t first, int64_t count, const RotaryFrequencies& frequencies) {
  if (count < 0) {
    fail(ErrorCode::kShape, "rotary_table: expected a count of positions from 0, got {}.", count);
  }
  const auto options = at::TensorOptions().dtype(at::kLong).device(frequencies.radians.device());
  return rotary_table(at::arange(first, first + count, options), frequencies);
}

RotaryTable rotary_table(int64_t first, int64_t count, int64_t head_size, double base,
                         at::Device device) {
  return rotary_table(first, count, rotary_frequencies(head_size, base, device));
}

RotaryTable rotary_table(const at::Tensor& positions, int64_t head_size, double base,
                         at::Device device) {
  return rotary_table(positions, rotary_frequencies(head_size, base, device));
}

at::Tensor rotate_and_norm(const at::Tensor& x, const RotaryTable& table, NormPlace place,
                           const at::Tensor& weight, double eps) {
  expect_rows("rotary_norm", "x", x, 2);
  const int64_t half = x.size(-1) / 2;
  if (x.size(-1) % 2 != 0) {
    fail(ErrorCode::kShape, "rotary_norm: expected heads of even width (pairs), got {}.",
         x.size(-1));
  }
  expect_shape("rotary_norm", "cosines", table.cosines, {x.size(-2), half});
  expect_shape("rotary_norm", "sines", table.sines, {x.size(-2), half});
  if (place != NormPlace::kNone) {
    expect_shape("rotary_norm", "weight", weight, {x.size(-1)});
  }
  const auto rotate = [&](const at::Tensor& heads) {
    const auto first = heads.narrow(-1, 0, half);      // [B, H, T, d/2]
    const auto second = heads.narrow(-1, half, half);  // [B, H, T, d/2]
    return at::cat({first * table.cosines - second * table.sines,
                    second * table.cosines + first * table.sines},
                   -1);  // [B, H, T, d]
  };
  const auto type = accumulation_type(x.scalar_type());
  const auto wide = x.to(type);
  switch (place) {
    case NormPlace::kNone:
      return rotate(wide).to(x.scalar_type());
    case NormPlace::kBefore:
      return rotate(rms_norm(wide, weight, eps, type)).to(x.scalar_type());
    case NormPlace::kAfter:
      break;
  }
  return rms_norm(rotate(wide), weight, eps, x.scalar_type());
}

at::Tensor rotary_norm(const at::Tensor& x, const RotaryTable& table, const at::Tensor& weight,
                       double eps) {
  return rotate_and_norm(x, table, NormPlace::kAfter, weight, eps);
}

}  // namespace loopbank::ops
