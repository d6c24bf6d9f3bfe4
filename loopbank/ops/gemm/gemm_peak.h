#pragma once
/// The fastest matrix product that this machine achieves: the yardstick of utilization.

#include <ATen/core/Tensor.h>

namespace loopbank::ops {

/// Peak of dense matrix products, FLOP/s: the best of several shapes of a training step and of
/// several repeats, a multiply-add counted as two FLOPs. Takes about half a second.
///
/// On the CPU oneDNN is timed with weights already in the layout that it prefers, on as many
/// threads as LibTorch computes with. BLAS is no yardstick there: it may be told to behave as on
/// an old core. A CPU without bf16 units has the peak of fp32 in both. ATen is timed on a GPU and
/// in a build without oneDNN.
///
/// @param dtype  kFloat or kBFloat16
/// @throws Error kDtype for any other dtype
[[nodiscard]] double measure_gemm_peak(at::ScalarType dtype, at::Device device);

}  // namespace loopbank::ops
