#include "loopbank/ops/gemm/matrix_product.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/matmul.h>

#include "loopbank/ops/gemm.h"

namespace loopbank::ops {

at::Tensor matrix_product(const at::Tensor& a, const at::Tensor& b) {
  static const bool has_bf16 = onednn_takes_bf16();
  if (has_bf16 || !a.is_cpu() || a.scalar_type() != at::kBFloat16) {
    return at::matmul(a, b);
  }
  return at::matmul(a.to(at::kFloat), b.to(at::kFloat)).to(at::kBFloat16);
}

}  // namespace loopbank::ops
