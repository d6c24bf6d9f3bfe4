#pragma once
/// Memory for time: a part of the forward pass that keeps only its inputs and is run again when the
/// backward pass reaches it (Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost).

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "loopbank/model/place.h"

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

/// A part of a pass: from a hidden state [B, T, D], the layer's opened banks, and the place.
template <typename Result>
using PartOfPass =
    std::function<Result(const at::Tensor& h, const OpenBanks& banks, const Place& place)>;

/// function(h, banks, place). What happens inside is kept for the backward pass or, where the pass
/// recomputes this part, computed again there: at the same place, with weights prepared anew.
/// @param function  captures only what outlives the backward pass
[[nodiscard]] std::vector<at::Tensor> kept_or_recomputed(
    Recompute part, const PartOfPass<std::vector<at::Tensor>>& function, const at::Tensor& h,
    const OpenBanks& banks, const Place& place);
[[nodiscard]] at::Tensor kept_or_recomputed(Recompute part, const PartOfPass<at::Tensor>& function,
                                            const at::Tensor& h, const OpenBanks& banks,
                                            const Place& place);

}  // namespace loopbank
