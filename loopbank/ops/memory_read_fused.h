#pragma once
/// A read of a memory bank, a block of queries at a time, on the CPU.

#include <ATen/core/Tensor.h>

namespace loopbank::ops {

/// As memory_read, of inputs that it has checked.
at::Tensor fused_memory_read(const at::Tensor& query, const at::Tensor& keys,
                             const at::Tensor& values);

}  // namespace loopbank::ops
