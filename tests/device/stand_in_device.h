#pragma once
/// A device that is no CPU, on every machine: LibTorch's operators run on it, and its memory cannot be
/// touched by anything else. What works on it has no read of a GPU's memory from the program, no
/// mixture of devices, and no wait that is not counted.
///
/// Its memory is main memory that is mapped twice: where tensors say that it is, any access ends the
/// program; operators reach it through the other mapping and are those of the CPU.

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace loopbank::testing {

/// The device; the first call makes it known to LibTorch.
[[nodiscard]] at::Device stand_in_device();

/// Reads of values on the device since the program started: a GPU would have been waited for.
[[nodiscard]] int64_t num_device_reads();

}  // namespace loopbank::testing
