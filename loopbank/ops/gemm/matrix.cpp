/// Matrices in memory and parts of them (ops/gemm.h).

#include <ATen/core/Tensor.h>

#include "loopbank/ops/gemm.h"

namespace loopbank::ops {

Matrix Matrix::row_range(int64_t first, int64_t count) const {
  auto part = *this;
  part.data =
      static_cast<char*>(data) + first * row_stride * static_cast<int64_t>(c10::elementSize(dtype));
  part.rows = count;
  return part;
}

Matrix Matrix::column_range(int64_t first, int64_t count) const {
  return transposed().row_range(first, count).transposed();
}

Matrix as_matrix(const at::Tensor& x) {
  if (x.dim() == 2) {
    return {x.data_ptr(), x.scalar_type(), x.size(0), x.size(1), x.stride(0), x.stride(1)};
  }
  const auto columns = x.size(-1);
  return {x.data_ptr(), x.scalar_type(), x.numel() / columns, columns, columns, 1};
}

}  // namespace loopbank::ops
