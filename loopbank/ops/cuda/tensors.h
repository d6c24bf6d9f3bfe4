#pragma once
/// Tensors as the kernels take them.

#include <ATen/core/Tensor.h>

#include "loopbank/ops/cuda/launches.h"

namespace loopbank::ops::cuda {

/// The values of a dense fp32 or bf16 tensor; null for an undefined one.
[[nodiscard]] Values values_of(const at::Tensor& x);

/// Those of a dense fp32 tensor; null for an undefined one.
[[nodiscard]] Floats floats_of(const at::Tensor& x);

/// The input in rows without gaps that begin on 16 bytes: where only some do, vectors cannot be loaded.
[[nodiscard]] at::Tensor aligned(const at::Tensor& x);

/// The stream that LibTorch's own kernels on the tensor's device go to now.
[[nodiscard]] Stream stream_of(const at::Tensor& x);

/// Dense, on the device of `like`, values undefined.
[[nodiscard]] at::Tensor empty_on(const at::Tensor& like, at::IntArrayRef sizes,
                                  at::ScalarType type);

}  // namespace loopbank::ops::cuda
