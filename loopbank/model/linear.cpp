#include "loopbank/model/linear.h"

#include <ATen/core/Tensor.h>

#include <cmath>
#include <utility>

#include "loopbank/ops/elementwise.h"
#include "loopbank/ops/linear.h"
#include "loopbank/ops/norm.h"
#include "loopbank/ops/workspace.h"

namespace loopbank {
namespace {

constexpr double kLayerNormEps = 1e-5;

Initial constant(double value) {
  return {.kind = Initial::Kind::kConstant, .value = value};
}

}  // namespace

double residual_deviation(int64_t num_layers) {
  return kInitialDeviation / std::sqrt(2.0 * static_cast<double>(num_layers));
}

Linear::Linear(Parameters& parameters, const std::string& name, int64_t in, int64_t out,
               const Initial& initial, ParameterKind kind)
    : weight_(parameters.add(name + ".weight", {out, in}, kind, initial)) {}

at::Tensor Linear::operator()(const at::Tensor& x, const Place& place) const {
  return side_by_side({*this}, x, place);
}

Linear Linear::with_bias(Parameters& parameters, const std::string& name, bool has_bias) && {
  if (has_bias) {
    bias_ = parameters.add(name + ".bias", {weight_.size(0)}, ParameterKind::kBias, constant(0.0));
  }
  return std::move(*this);
}

at::Tensor side_by_side(Linears linears, const at::Tensor& x, const Place& place) {
  c10::SmallVector<std::reference_wrapper<const at::Tensor>, 4> masters;
  for (const Linear& linear : linears) {
    masters.push_back(linear.weight());
  }
  const auto products =
      ops::linear(ops::in_type(x, place.pass.compute_dtype()), place.weights.prepared(masters));
  return with_biases(products, linears);
}

at::Tensor with_biases(const at::Tensor& products, Linears linears) {
  c10::SmallVector<at::Tensor, 4> biases;
  for (const Linear& linear : linears) {
    if (linear.bias().defined()) {
      biases.push_back(linear.bias());
    }
  }
  return biases.empty() ? products : ops::add_biases(products, biases);
}

RmsNorm::RmsNorm(Parameters& parameters, const std::string& name, int64_t size, double eps)
    : weight_(parameters.add(name + ".weight", {size}, ParameterKind::kNorm, constant(1.0))),
      eps_(eps) {}

at::Tensor Normed::in(at::ScalarType type) const {
  return ops::rms_norm(of, weight, eps, type);
}

Normed rms_norm(const at::Tensor& x, const RmsNorm& norm) {
  return {.of = x, .weight = norm.weight(), .eps = norm.eps()};
}

LayerNorm::LayerNorm(Parameters& parameters, const std::string& name, int64_t size)
    : weight_(parameters.add(name + ".weight", {size}, ParameterKind::kNorm, constant(1.0))),
      bias_(parameters.add(name + ".bias", {size}, ParameterKind::kBias, constant(0.0))) {}

at::Tensor LayerNorm::operator()(const at::Tensor& x, at::ScalarType out) const {
  return ops::layer_norm(x, weight_, bias_, kLayerNormEps, out);
}

}  // namespace loopbank
