#pragma once
/// Memory for time: a part of the forward pass that keeps only its inputs and is run again when the
/// backward pass reaches it (Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost).

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace loopbank {

using TensorsFunction = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

/// function(inputs), with nothing but the inputs kept for the backward pass.
///
/// Every tensor with a history that `function` reads must be among the inputs; parameters need not:
/// their gradients are added in place, as by backward(). It must give the same values when it is
/// called again.
/// @param inputs  undefined ones are handed on as they are
[[nodiscard]] std::vector<at::Tensor> recomputed(const TensorsFunction& function,
                                                 const std::vector<at::Tensor>& inputs);

}  // namespace loopbank
