#pragma once
/// The scales of residual updates: a loop's learned one (paper eq. 5), and a dense layer's fixed one.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace loopbank {

class LanguageModel;

///     s_t = softplus(alpha_t), or alpha_t itself where `kind` is "linear"
///
/// A softplus never is 0 and, far in its tail, learns nothing: a model that is given loops starts
/// with linear scales, 1 for the first loop and 0 for the others.
///
/// @param alpha  of any shape
/// @param kind   a model's `loop_scale_kind`
/// @return s of that shape; differentiable
[[nodiscard]] at::Tensor loop_scale(const at::Tensor& alpha, std::string_view kind);

/// s_t of every layer and loop, in fp64: [L][N_l], nothing of a dense layer.
[[nodiscard]] std::vector<std::vector<double>> loop_scales(const LanguageModel& model);

/// s of dense layer l, counted from 0: 1, 1 / (l + 1) or 1 / sqrt(l + 1) by `depth_scale`.
[[nodiscard]] double depth_scale(std::string_view rule, int64_t layer);

}  // namespace loopbank
