#pragma once
/// Linear layers and norms, the smallest modules: each owns its parameters.

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "loopbank/model/parameters.h"
#include "loopbank/model/place.h"

namespace loopbank {

/// Deviation of linear weights and embeddings at start (SPEC 1, initial values).
constexpr double kInitialDeviation = 0.02;

/// Deviation of the weights that end a residual branch: 0.02 / sqrt(2 L).
[[nodiscard]] double residual_deviation(int64_t num_layers);

/// y = x W^T, or x W^T + b where it was given a bias.
class Linear {
 public:
  Linear(Parameters& parameters, const std::string& name, int64_t in, int64_t out,
         const Initial& initial, ParameterKind kind = ParameterKind::kLinear);

  /// The same with a bias, which starts at 0, where there is to be one.
  [[nodiscard]] Linear with_bias(Parameters& parameters, const std::string& name, bool has_bias) &&;

  /// [..., in] to [..., out] in the compute type; x is cast to it.
  [[nodiscard]] at::Tensor operator()(const at::Tensor& x, const Place& place) const;

  [[nodiscard]] const at::Tensor& weight() const { return weight_; }
  /// Undefined where there is none.
  [[nodiscard]] const at::Tensor& bias() const { return bias_; }

 private:
  at::Tensor weight_;  // [out, in]
  at::Tensor bias_;    // [out]
};

/// Linear layers that read one input, either all with a bias or none.
using Linears = c10::ArrayRef<std::reference_wrapper<const Linear>>;

/// The layers as one product: their outputs side by side.
/// [..., in] to [..., out_1 + out_2 + ...] in the compute type; x is cast to it.
[[nodiscard]] at::Tensor side_by_side(Linears linears, const at::Tensor& x, const Place& place);

/// Their biases added to their products.
/// [..., out_1 + out_2 + ...] to the same; `products` itself where there are none
[[nodiscard]] at::Tensor with_biases(const at::Tensor& products, Linears linears);

/// The weights of an RMSNorm.
class RmsNorm {
 public:
  RmsNorm(Parameters& parameters, const std::string& name, int64_t size, double eps);

  [[nodiscard]] const at::Tensor& weight() const { return weight_; }
  [[nodiscard]] double eps() const { return eps_; }

 private:
  at::Tensor weight_;  // [D]
  double eps_;
};

/// rms_norm(x) = x / sqrt(mean(x^2) + eps) * w, not computed yet: whatever reads it computes it, a
/// few rows at a time within its first product where that is faster.
struct Normed {
  at::Tensor of;      ///< x [..., D]
  at::Tensor weight;  ///< w [D]
  double eps = 0.0;

  /// The normed values, [..., D] in `type`.
  [[nodiscard]] at::Tensor in(at::ScalarType type) const;
};

[[nodiscard]] Normed rms_norm(const at::Tensor& x, const RmsNorm& norm);

/// LayerNorm of the memory path: eps 1e-5, weight and bias.
class LayerNorm {
 public:
  LayerNorm(Parameters& parameters, const std::string& name, int64_t size);

  /// [..., D] to [..., D] in `out`.
  [[nodiscard]] at::Tensor operator()(const at::Tensor& x, at::ScalarType out) const;

 private:
  at::Tensor weight_;  // [D]
  at::Tensor bias_;    // [D]
};

}  // namespace loopbank
