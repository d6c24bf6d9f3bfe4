#pragma once
/// Fused ops against their references: every result and every gradient, on one thread and on two.

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "loopbank/ops/check.h"

namespace loopbank::testing {

using TensorsFunction = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

/// The results of `function` and the gradients of its inputs are those of the reference in fp64 on
/// the same values, each within the tolerance of its own dtype, and those of the reference in the
/// same dtypes within twice that. Gradients arrive as random numbers of the results' dtypes.
/// @param function   results for these inputs, in fp64 for inputs that are all fp64
/// @param tolerance  against exact arithmetic, as in is_close
void expect_fused_is_reference(const TensorsFunction& function,
                               const std::vector<at::Tensor>& inputs,
                               const ops::Tolerance& tolerance);

}  // namespace loopbank::testing
