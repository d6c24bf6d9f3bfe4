#include "loopbank/ops/quantization.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <optional>

#include "loopbank/ops/check.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

constexpr auto kGroupSize = static_cast<size_t>(kQuantizationGroup);
constexpr float kMost8 = 127.0F;
constexpr int kMost4 = 8;  // codes are -8..7
constexpr float kSmallestScale = 0x1p-100F;
constexpr float kLargest = 0x1p113F;  // such that no product of code and scale overflows
constexpr int64_t kRowsAThread = 8;

/// The largest value of a group becomes -6 to -9 before it is limited to -8.
constexpr int kScalesTried = 16;
constexpr float kFirstDivisor = -6.0F;
constexpr float kLastDivisor = -9.0F;

/// One group, filled up with zeros: loops of a fixed length are vector code.
using GroupValues = std::array<float, kGroupSize>;

/// fp32 to the nearest bf16, ties to even; of finite values.
float rounded_to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7FFFU + ((bits >> 16) & 1U)) & 0xFFFF0000U);
}

uint16_t bf16_bits(float value) {
  return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
}

float from_bf16_bits(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// To the nearest whole number, ties to even, of |value| < 2^22: what is behind the point falls off
/// the 24 bits of the sum. std::nearbyint is a call where the CPU may lack SSE4.
float rounded(float value) {
  constexpr float kOneAndAHalf = 0x1.8p23F;
  return value + kOneAndAHalf - kOneAndAHalf;
}

/// The largest magnitude; infinity where a value is not a number.
float largest_magnitude(const GroupValues& values) {
  float most = 0.0F;
  bool is_number = true;
  for (const auto value : values) {
    is_number = is_number && value == value;
    most = std::max(most, std::fabs(value));
  }
  return is_number ? most : INFINITY;
}

/// Codes as whole numbers in fp32, and their scale.
struct CodedGroup {
  GroupValues codes{};
  float scale = 0.0F;
};

CodedGroup group_of_8_bits(const GroupValues& values, float most) {
  CodedGroup group{.scale = rounded_to_bf16(most / kMost8)};
  if (group.scale < kSmallestScale) {
    return {};
  }
  for (size_t i = 0; i < kGroupSize; ++i) {
    group.codes[i] = std::clamp(rounded(values[i] / group.scale), -kMost8, kMost8);
  }
  return group;
}

float code_of_4_bits(float value, float scale) {
  return std::clamp(rounded(value / scale), -static_cast<float>(kMost4),
                    static_cast<float>(kMost4 - 1));
}

/// The group as multiples of one scale, where its values are just that: the largest such scale. It
/// depends on the values alone, so that what was quantized once comes out as it went in.
/// @param peak  the first value of the largest magnitude
std::optional<CodedGroup> exact_group_of_4_bits(const GroupValues& values, float peak) {
  for (int code = 1; code <= kMost4; ++code) {
    CodedGroup group{.scale = peak / static_cast<float>(-code)};
    if (rounded_to_bf16(group.scale) != group.scale ||
        group.scale * static_cast<float>(-code) != peak) {
      continue;
    }
    size_t exact = 0;
    for (; exact < kGroupSize; ++exact) {
      group.codes[exact] = code_of_4_bits(values[exact], group.scale);
      if (group.codes[exact] * group.scale != values[exact]) {
        break;
      }
    }
    if (exact == kGroupSize) {
      return group;
    }
  }
  return std::nullopt;
}

/// The scale of the least squared error, the first of equals.
CodedGroup searched_group_of_4_bits(const GroupValues& values, float peak) {
  CodedGroup best;
  float least = INFINITY;
  for (int tried = 0; tried < kScalesTried; ++tried) {
    const float part = static_cast<float>(tried) / static_cast<float>(kScalesTried - 1);
    CodedGroup group{
        .scale = rounded_to_bf16(peak / (kFirstDivisor + part * (kLastDivisor - kFirstDivisor)))};
    float error = 0.0F;
    for (size_t i = 0; i < kGroupSize; ++i) {
      group.codes[i] = code_of_4_bits(values[i], group.scale);
      const float difference = (group.codes[i] * group.scale - values[i]) / peak;
      error += difference * difference;
    }
    if (error < least) {
      least = error;
      best = group;
    }
  }
  return best;
}

/// The first value of the largest magnitude.
float peak_of(const GroupValues& values, float most) {
  return *std::find_if(values.begin(), values.end(),
                       [most](float value) { return std::fabs(value) == most; });
}

CodedGroup group_of_4_bits(const GroupValues& values, float most) {
  if (most == 0.0F) {
    return {};
  }
  const float peak = peak_of(values, most);
  if (const auto exact = exact_group_of_4_bits(values, peak)) {
    return *exact;
  }
  if (most < kSmallestScale * static_cast<float>(kMost4)) {
    return {};
  }
  const auto group = searched_group_of_4_bits(values, peak);
  GroupValues product;
  float largest = 0.0F;
  for (size_t i = 0; i < kGroupSize; ++i) {
    product[i] = group.codes[i] * group.scale;
    largest = std::max(largest, std::fabs(product[i]));
  }
  return exact_group_of_4_bits(product, peak_of(product, largest)).value();
}

/// Writes one row's codes; `to` is its first byte.
void write_codes(const GroupValues& codes, size_t first, size_t count, int64_t bits, uint8_t* to) {
  if (bits == 8) {
    for (size_t i = 0; i < count; ++i) {
      to[first + i] = static_cast<uint8_t>(static_cast<int8_t>(codes[i]));
    }
    return;
  }
  const auto half = [&](size_t i) {
    return static_cast<unsigned>(static_cast<int>(codes[i]) + kMost4);
  };
  for (size_t i = 0; i < count; i += 2) {  // beyond an odd end stands the zero of the filling
    to[(first + i) / 2] = static_cast<uint8_t>(half(i) | half(i + 1) << 4U);
  }
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
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t first = g * kQuantizationGroup;
        const auto count = std::min(kQuantizationGroup, in - first);
        GroupValues values{};
        std::copy_n(from + row * in + first, count, values.begin());
        const float most = largest_magnitude(values);
        if (!(most < kLargest)) {
          bad_row = row;
          return;
        }
        const auto group =
            bits == 8 ? group_of_8_bits(values, most) : group_of_4_bits(values, most);
        scales[row * groups + g] = bf16_bits(group.scale);
        write_codes(group.codes, static_cast<size_t>(first), static_cast<size_t>(count), bits,
                    codes + row * row_bytes);
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
