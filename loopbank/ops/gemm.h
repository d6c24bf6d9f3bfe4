#pragma once
/// Matrix products of the CPU through oneDNN: c = a b and c += a b; in bf16 the products for
/// gradients of weights, for attention and more go through gemm/tile_gemm.h if the CPU has
/// instructions for them.
///
/// Goals: any strides of row- and column-major views, bf16 and fp32, from any thread and from
/// inside a parallel region; oneDNN's primitives are created once per shape and thread. Not for a
/// GPU, and not differentiable: ops/linear.h and others build on it. Where oneDNN has no kernel for
/// bf16 (before AVX-512), or the build has no oneDNN, the product is computed in fp32 and rounded
/// once.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

namespace loopbank::ops {

/// A matrix in memory, not owned. One of the strides is 1.
struct Matrix {
  void* data = nullptr;
  at::ScalarType dtype = at::kFloat;  ///< fp32 or bf16
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t row_stride = 0;     ///< elements from one row to the next
  int64_t column_stride = 1;  ///< elements from one column to the next

  [[nodiscard]] Matrix transposed() const {
    return {data, dtype, columns, rows, column_stride, row_stride};
  }
  /// Rows `first` to `first + count`.
  [[nodiscard]] Matrix row_range(int64_t first, int64_t count) const;
  /// Columns `first` to `first + count`.
  [[nodiscard]] Matrix column_range(int64_t first, int64_t count) const;
};

/// A tensor of 2 dimensions, or the rows [..., D] of a contiguous one, as a matrix.
[[nodiscard]] Matrix as_matrix(const at::Tensor& x);

/// c = a b, or c += a b with `accumulate`.
///
/// @param a  [M, K]  fp32 or bf16
/// @param b  [K, N]  the dtype of a
/// @param c  [M, N]  fp32, or bf16 for bf16 a; fp32 where it accumulates
/// @throws Error kShape when the sizes do not fit, kDtype when the dtypes do not
/// Numerics: sums in fp32, one rounding at the end.
/// Inside a parallel region one thread computes it, outside all do.
void gemm(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate = false);

/// The same with the rows of c in several consecutive matrices, at the cost of one product: for
/// gradients of weights that read the same input.
/// @throws Error kShape when their rows together are not a's, and as above
void gemm(const Matrix& a, const Matrix& b, c10::ArrayRef<Matrix> results, bool accumulate = false);

/// Whether oneDNN multiplies bf16 on this CPU, within what ONEDNN_MAX_CPU_ISA allows. True if the
/// build has no oneDNN: LibTorch then uses its own.
[[nodiscard]] bool onednn_takes_bf16();

/// A right factor b [K, N] in the layout that oneDNN reads fastest, for several products with the
/// same b. Made for left factors of `rows` rows; other numbers of rows work too.
class PackedMatrix {
 public:
  /// @param b     [K, N]  fp32 or bf16, of which a copy is kept
  /// @param rows  M of the products to come
  PackedMatrix(const Matrix& b, int64_t rows);

 private:
  friend void gemm(const Matrix& a, const PackedMatrix& b, const Matrix& c);
  struct State;
  std::shared_ptr<const State> state_;
};

/// c = a b, as above.
void gemm(const Matrix& a, const PackedMatrix& b, const Matrix& c);

}  // namespace loopbank::ops
