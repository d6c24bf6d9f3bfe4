#pragma once
/// The learned scale of a loop's residual updates (paper eq. 5).

#include <ATen/core/Tensor.h>

#include <string_view>

namespace loopbank {

///     s_t = softplus(alpha_t), or alpha_t itself where `kind` is "linear"
///
/// A softplus never is 0 and, far in its tail, learns nothing: a model that is given loops starts
/// with linear scales, 1 for the first loop and 0 for the others.
///
/// @param alpha  of any shape
/// @param kind   a model's `loop_scale_kind`
/// @return s of that shape; differentiable
[[nodiscard]] at::Tensor loop_scale(const at::Tensor& alpha, std::string_view kind);

}  // namespace loopbank
