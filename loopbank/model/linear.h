#pragma once
/// Linear layers and norms: a parameter each, read through a pass.

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "loopbank/model/parameters.h"
#include "loopbank/model/pass.h"

namespace loopbank {

/// Deviation of linear weights and embeddings at start (SPEC 1, initial values).
constexpr double kInitialDeviation = 0.02;

/// Deviation of the weights that end a residual branch: 0.02 / sqrt(2 L).
[[nodiscard]] double residual_deviation(int64_t num_layers);

/// y = x W^T, without bias.
class Linear {
 public:
  Linear(Parameters& parameters, const std::string& name, int64_t in, int64_t out,
         const Initial& initial);

  /// [..., in] to [..., out], both in the compute type; x is cast to it.
  [[nodiscard]] at::Tensor forward(const at::Tensor& x, Pass& pass) const;

  [[nodiscard]] const at::Tensor& weight() const { return weight_; }

 private:
  at::Tensor weight_;  // [out, in]
};

/// Linear layers that read one input, as one product: their outputs side by side.
/// [..., in] to [..., out_1 + out_2 + ...], in the compute type; x is cast to it.
[[nodiscard]] at::Tensor forward_side_by_side(
    const std::vector<std::reference_wrapper<const Linear>>& linears, const at::Tensor& x,
    Pass& pass);

/// x / sqrt(mean(x^2) + eps) * w.
class RmsNorm {
 public:
  RmsNorm(Parameters& parameters, const std::string& name, int64_t size, double eps);

  /// [..., D] to [..., D] in the compute type.
  [[nodiscard]] at::Tensor forward(const at::Tensor& x, const Pass& pass) const;

  [[nodiscard]] const at::Tensor& weight() const { return weight_; }
  [[nodiscard]] double eps() const { return eps_; }

 private:
  at::Tensor weight_;  // [D]
  double eps_;
};

/// LayerNorm of the memory path: eps 1e-5, weight and bias.
class LayerNorm {
 public:
  LayerNorm(Parameters& parameters, const std::string& name, int64_t size);

  /// [..., D] to [..., D] in `out`.
  [[nodiscard]] at::Tensor forward(const at::Tensor& x, at::ScalarType out) const;

 private:
  at::Tensor weight_;  // [D]
  at::Tensor bias_;    // [D]
};

}  // namespace loopbank
