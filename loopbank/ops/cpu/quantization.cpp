#include "loopbank/ops/quantization.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>
#include <bit>

#include "loopbank/ops/check.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/quantization_kernels.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

constexpr auto kGroupSize = static_cast<size_t>(kQuantizationGroup);
constexpr int kMost4 = 8;  // codes are -8..7
constexpr int64_t kRowsAThread = 8;

float from_bf16_bits(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

int64_t ceil_divided(int64_t count, int64_t by) {
  return (count + by - 1) / by;
}

int64_t bytes_of_row(int64_t in, int64_t bits) {
  return bits == 8 ? in : ceil_divided(in, 2);
}

void expect_bits(const char* op, int64_t bits) {
  if (bits != 8 && bits != 4) {
    fail(ErrorCode::kConfig, "{}: expected 8 or 4 bits, got {}.", op, bits);
  }
}

void expect_matrix_on_cpu(const char* op, const char* name, const at::Tensor& matrix) {
  expect_dimensions(op, name, matrix, 2);
  if (!matrix.device().is_cpu()) {
    fail(ErrorCode::kDevice, "{}: expected {} on the CPU, got {}.", op, name,
         matrix.device().str());
  }
}

/// Codes times scales of one row.
void dequantize_row(const uint8_t* codes, const uint16_t* scales, size_t in, int64_t bits,
                    float* to) {
  for (size_t first = 0; first < in; first += kGroupSize) {
    const auto count = std::min(kGroupSize, in - first);
    const float scale = from_bf16_bits(scales[first / kGroupSize]);
    if (bits == 8) {
      for (size_t i = first; i < first + count; ++i) {
        to[i] = scale * static_cast<float>(static_cast<int8_t>(codes[i]));
      }
      continue;
    }
    const auto value = [&](unsigned half) {
      return scale * static_cast<float>(static_cast<int>(half) - kMost4);
    };
    const auto* const bytes = codes + first / 2;
    for (size_t i = 0; i + 1 < count; i += 2) {
      to[first + i] = value(bytes[i / 2] & 15U);
      to[first + i + 1] = value(bytes[i / 2] >> 4U);
    }
    if (count % 2 == 1) {
      to[first + count - 1] = value(bytes[count / 2] & 15U);
    }
  }
}

}  // namespace

Quantized quantize(const at::Tensor& master, int64_t bits) {
  expect_bits("quantize", bits);
  expect_matrix_on_cpu("quantize", "the weights", master);
  expect_dtype("quantize", "the weights", master, at::kFloat);
  honour_simd_limit();
  const auto weights = master.detach().contiguous();
  const int64_t out = weights.size(0);
  const int64_t in = weights.size(1);
  const int64_t groups = ceil_divided(in, kQuantizationGroup);
  const int64_t row_bytes = bytes_of_row(in, bits);
  Quantized result{
      .codes = at::empty({out, row_bytes}, at::dtype(bits == 8 ? at::kChar : at::kByte)),
      .scales = at::empty({out, groups}, at::dtype(at::kBFloat16)),
      .bits = bits,
      .in = in};
  const auto* const from = weights.data_ptr<float>();
  auto* const codes = static_cast<uint8_t*>(result.codes.data_ptr());
  auto* const scales = static_cast<uint16_t*>(result.scales.data_ptr());
  std::atomic<int64_t> bad_row = -1;
  at::parallel_for(0, out, kRowsAThread, [&](int64_t row, int64_t last) {
    for (; row < last; ++row) {
      const bool is_good = quantize_row({.values = from + row * in,
                                         .in = in,
                                         .bits = bits,
                                         .codes = codes + row * row_bytes,
                                         .scales = scales + row * groups});
      if (!is_good) {
        bad_row = row;
        return;
      }
    }
  });
  if (bad_row >= 0) {
    fail(ErrorCode::kData, "quantize: expected finite weights below 2^113, got others in row {}.",
         bad_row.load());
  }
  return result;
}

void expect_quantized(const char* op, const Quantized& quantized) {
  expect_bits(op, quantized.bits);
  expect_matrix_on_cpu(op, "codes", quantized.codes);
  expect_matrix_on_cpu(op, "scales", quantized.scales);
  expect_dtype(op, "codes", quantized.codes, quantized.bits == 8 ? at::kChar : at::kByte);
  expect_dtype(op, "scales", quantized.scales, at::kBFloat16);
  expect_shape(op, "codes", quantized.codes,
               {quantized.out(), bytes_of_row(quantized.in, quantized.bits)});
  expect_shape(op, "scales", quantized.scales,
               {quantized.out(), ceil_divided(quantized.in, kQuantizationGroup)});
}

at::Tensor dequantize(const Quantized& quantized) {
  expect_quantized("dequantize", quantized);
  auto to = at::empty({quantized.out(), quantized.in}, at::dtype(at::kFloat));
  dequantize_into(quantized, to);
  return to;
}

void dequantize_into(const Quantized& quantized, const at::Tensor& to) {
  expect_quantized("dequantize", quantized);
  const int64_t out = quantized.out();
  const int64_t in = quantized.in;
  expect_matrix_on_cpu("dequantize", "the result", to);
  expect_dtype("dequantize", "the result", to, at::kFloat);
  expect_shape("dequantize", "the result", to, {out, in});
  if (!to.is_contiguous()) {
    fail(ErrorCode::kShape, "dequantize: expected a contiguous result, got one with gaps.");
  }
  const auto codes = quantized.codes.contiguous();
  const auto scales = quantized.scales.contiguous();
  const auto row_bytes = codes.size(1);
  const auto groups = scales.size(1);
  at::parallel_for(0, out, kRowsAThread, [&](int64_t row, int64_t last) {
    for (; row < last; ++row) {
      dequantize_row(static_cast<const uint8_t*>(codes.data_ptr()) + row * row_bytes,
                     static_cast<const uint16_t*>(scales.data_ptr()) + row * groups,
                     static_cast<size_t>(in), quantized.bits, to.data_ptr<float>() + row * in);
    }
  });
}

}  // namespace loopbank::ops
