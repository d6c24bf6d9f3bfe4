#pragma once
/// The product of the reference ops: LibTorch's, with sums in fp32 on every CPU.

#include <ATen/core/Tensor.h>

namespace loopbank::ops {

/// a b as at::matmul, in the dtype of both.
///
/// Where oneDNN does not multiply bf16 the product goes through fp32: LibTorch's own loops add up
/// in bf16 (before AVX-512), or it asks oneDNN all the same and fails (ONEDNN_MAX_CPU_ISA).
/// Numerics: sums in fp32 at least, one rounding at the end.
at::Tensor matrix_product(const at::Tensor& a, const at::Tensor& b);

}  // namespace loopbank::ops
