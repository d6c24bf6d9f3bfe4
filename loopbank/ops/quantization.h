#pragma once
/// Weights in 8 and 4 bit: whole numbers with one scale for every 32 inputs of an output.
///
///     w[o, i] ~ scales[o, i / 32] * code[o, i]       code in -127..127 or -8..7
///
/// Goals: a weight that was quantized once is a fixed point, quantize(dequantize(q)) == q bit for
/// bit, so that a model read from 8 or 4 bit and packed again for inference is the very same model;
/// the product of scale and code is exact in fp32.
///
/// Both follow from scales in bf16: 8 bits of scale times 7 bits of code fit into the 24 of fp32.
/// The rounding of a scale costs next to nothing, since codes are rounded to the scale that is
/// stored (8 bit: error 0.00555 of the weights' norm against 0.00550 with scales in fp32, on the
/// matrices of a trained model of 5 M parameters), and takes half a bit a weight where fp32 takes
/// one.
///
/// Rejected: one scale a row, which saves that half bit and has 1.34 times the error in 8 bit and
/// 1.35 times in 4; zero points, since the weights lie around 0.

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace loopbank::ops {

/// Inputs of an output that share a scale; the last ones of a row may be fewer.
constexpr int64_t kQuantizationGroup = 32;

/// A matrix [out, in] in 8 or 4 bit, on the CPU.
struct Quantized {
  /// 8 bit: [out, in] int8. 4 bit: [out, ceil(in / 2)] uint8, each byte two codes plus 8, that of
  /// the even input in the low half; where `in` is odd the last high half holds code 0.
  at::Tensor codes;
  /// [out, ceil(in / 32)] bf16; of either sign in 4 bit, 0 where all codes are 0
  at::Tensor scales;
  int64_t bits = 8;
  int64_t in = 0;

  [[nodiscard]] int64_t out() const { return codes.size(0); }
  [[nodiscard]] int64_t bytes() const {
    return static_cast<int64_t>(codes.nbytes() + scales.nbytes());
  }
};

/// Rounds a matrix to 8 or 4 bit.
///
/// 8 bit: the largest of a group becomes 127. 4 bit: the largest becomes one of -6 to -8, whichever
/// of 16 scales has the least squared error (0.0834 of the weights' norm; 0.0882 where it is always
/// -8, 0.0999 where codes are -7..7). Groups that lie on such a grid already keep its values: among
/// the scales that give them exactly, the largest is taken. Groups whose scale would be under
/// 2^-100 become 0.
///
/// @param master  [out, in]  fp32 on the CPU
/// @param bits    8 or 4
/// @throws Error kShape for another number of dimensions, kDtype for another dtype, kDevice for a
///   matrix elsewhere, kConfig for other bits, kData for values that are not finite or reach 2^113
[[nodiscard]] Quantized quantize(const at::Tensor& master, int64_t bits);

/// @throws Error kShape, kDtype, kConfig and kDevice `op: expected ...` where codes and scales are
/// not as Quantized says
void expect_quantized(const char* op, const Quantized& quantized);

/// The values that the codes stand for, [out, in] fp32, without rounding.
/// @throws Error kShape and kDtype where codes and scales are not as Quantized says
[[nodiscard]] at::Tensor dequantize(const Quantized& quantized);

/// The same into memory that is there.
/// @param to  [out, in]  fp32 on the CPU, contiguous
void dequantize_into(const Quantized& quantized, const at::Tensor& to);

}  // namespace loopbank::ops
