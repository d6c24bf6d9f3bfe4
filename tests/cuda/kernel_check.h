#pragma once
/// The fused ops of a GPU against their definitions, on the emulated device.

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "loopbank/ops/check.h"

namespace loopbank::testing {

using TensorsFunction = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

/// An op by its kernels and by its definition; results are tensors in one order.
struct KernelCase {
  TensorsFunction fused;
  TensorsFunction definition;  ///< also in fp64
  ops::Tolerance tolerance;    ///< against exact arithmetic, as in is_close
};

/// Fails unless results and gradients of all inputs that are floating point
/// - are those of the definition in fp64, with blocks of 32, 96 and all threads, and
/// - have the same bits in whatever order the threads of a block run.
void expect_kernels_are_definition(const KernelCase& op, const std::vector<at::Tensor>& inputs);

}  // namespace loopbank::testing
