#pragma once
/// Weights prepared once for inference, whose products do not depend on the company of a row.
///
/// Goals: every output is the same bit for bit whatever the number of rows, the other rows and the
/// number of threads, so that a token decoded alone, in a chunk or with its whole prompt gives the
/// same answer; one row runs at the speed of the memory; no allocation and no call of ATen in the
/// raw form. Each output has one fp32 sum over k in ascending order, with codes over groups of 32
/// k, each summed up exactly (simd/panel_codes.h); rows and columns only decide which sums a thread
/// holds in registers at a time.
///
/// Not for training: there is no gradient. Rejected: oneDNN, whose order of sums changes with the
/// number of rows; sums in several parts that are added at the end, which one row would gain from
/// when its weights lie in the caches, since four registers of columns hide the latency as well.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "loopbank/ops/gemm.h"
#include "loopbank/ops/quantization.h"

namespace loopbank::ops {

/// How weights are stored.
enum class WeightFormat {
  kFp32,
  kBf16,
  kInt8,  ///< codes of 8 bits and a scale in bf16 for every 32 inputs: quantization.h
  kInt4,  ///< codes of 4 bits, likewise
};

/// Bits of a code; 0 for weights in floating point.
[[nodiscard]] constexpr int64_t code_bits(WeightFormat format) {
  return format == WeightFormat::kInt8 ? 8 : format == WeightFormat::kInt4 ? 4 : 0;
}

class InferenceWeights;
struct MemoryAhead;

/// Weights that a later product reads, to be brought nearer while another multiplies one row: what
/// loops after the first leave of the memory's time, since their own weights come from a cache. A
/// loop can bring half as many bytes as its weights have; who asks for more gets the first ones.
/// Changes no result.
struct ReadAhead {
  const InferenceWeights* weights = nullptr;
  double from = 0.0;  ///< share of their bytes from which on, 0 to 1
  double to = 1.0;    ///< and up to which
};

class InferenceWeights {
 public:
  /// @param masters  one [out_k, in] per layer of the same input, fp32 or bf16, on the CPU, which
  ///                 are copied; their outputs come side by side
  /// Codes are those of quantize, which finds them again in masters that were dequantized.
  /// @throws Error kShape when `in` differs or there is no weight, kDtype for another dtype,
  /// kDevice for weights elsewhere, and what quantize throws
  InferenceWeights(const std::vector<at::Tensor>& masters, WeightFormat format);

  /// The same of codes as quantize gives them and a quantized model stores them, without a detour
  /// by their values: kInt8 or kInt4, whichever they are.
  ///
  /// @param layers  one [out_k, in] per layer of the same input, on the CPU, with the same bits, of
  ///                which a copy is made
  /// @throws Error kShape when `in` differs or there is no weight, kConfig when the bits differ,
  /// and what dequantize throws
  explicit InferenceWeights(const std::vector<Quantized>& layers);

  [[nodiscard]] WeightFormat format() const { return format_; }
  [[nodiscard]] int64_t in() const { return in_; }
  [[nodiscard]] int64_t out() const { return out_; }
  /// Outputs of each layer.
  [[nodiscard]] const std::vector<int64_t>& outs() const { return outs_; }
  /// What one product with few rows reads.
  [[nodiscard]] int64_t bytes() const { return static_cast<int64_t>(packed_.nbytes()); }

  /// x W^T, not differentiable.
  ///
  /// @param x  [..., in]  fp32 or bf16
  /// @return [..., out] in the dtype of x
  /// @throws Error kShape when the last axis differs, kDtype for another dtype, kDevice for a GPU
  /// Numerics: sums in fp32, one rounding at the end. With weights of fp32 x is widened, with bf16
  /// it is rounded to bf16 first, with codes to 16 bits with a step for every 32 inputs, 2^-15 of
  /// the largest of them at most. Bit for bit the same for a row by itself and among others, for
  /// one machine and one dtype of x.
  [[nodiscard]] at::Tensor multiply(const at::Tensor& x) const;

  /// The same on memory of the caller: no allocation once a thread has seen the largest number of
  /// rows. From any thread; outside of parallel regions all threads take part.
  /// @param x  [rows, in]   fp32 or bf16, row-major
  /// @param y  [rows, out]  fp32 or bf16, row-major
  /// @param ahead  asked for meanwhile, with one row on AVX-512
  void multiply(const Matrix& x, const Matrix& y, const ReadAhead& ahead = {}) const;

 private:
  void take_outputs(const std::vector<int64_t>& outs, int64_t in);
  struct PanelOfRows;
  static MemoryAhead memory_of(const ReadAhead& ahead);
  /// multiply_panel(PanelOfRows) for every panel and some rows at a time, whose sums go to y: over
  /// all `width` inputs at once with one row, over `depth_at_a_time` with several.
  template <typename Visit>
  void for_panels(const Matrix& y, int64_t width, int64_t depth_at_a_time, const ReadAhead& ahead,
                  const Visit& multiply_panel) const;
  void multiply_values(const Matrix& x, const Matrix& y, const ReadAhead& ahead) const;
  void multiply_codes(const Matrix& x, const Matrix& y, const ReadAhead& ahead) const;

  WeightFormat format_;
  int64_t in_ = 0;
  int64_t out_ = 0;
  std::vector<int64_t> outs_;
  at::Tensor packed_;  // bytes, panel after panel
};

}  // namespace loopbank::ops
