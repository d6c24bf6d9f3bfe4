#include "loopbank/model/linear.h"

#include <ATen/core/Tensor.h>

#include <cmath>

#include "loopbank/ops/linear.h"
#include "loopbank/ops/norm.h"

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
               const Initial& initial)
    : weight_(parameters.add(name + ".weight", {out, in}, ParameterKind::kLinear, initial)) {}

at::Tensor Linear::forward(const at::Tensor& x, Pass& pass) const {
  return forward_side_by_side({*this}, x, pass);
}

at::Tensor forward_side_by_side(const std::vector<std::reference_wrapper<const Linear>>& linears,
                                const at::Tensor& x, Pass& pass) {
  std::vector<at::Tensor> masters;
  for (const Linear& linear : linears) {
    masters.push_back(linear.weight());
  }
  return ops::linear(x.to(pass.compute_dtype()), pass.linear_weights(masters));  // [..., out]
}

RmsNorm::RmsNorm(Parameters& parameters, const std::string& name, int64_t size, double eps)
    : weight_(parameters.add(name + ".weight", {size}, ParameterKind::kNorm, constant(1.0))),
      eps_(eps) {}

at::Tensor RmsNorm::forward(const at::Tensor& x, const Pass& pass) const {
  return ops::rms_norm(x, weight_, eps_, pass.compute_dtype());
}

LayerNorm::LayerNorm(Parameters& parameters, const std::string& name, int64_t size)
    : weight_(parameters.add(name + ".weight", {size}, ParameterKind::kNorm, constant(1.0))),
      bias_(parameters.add(name + ".bias", {size}, ParameterKind::kBias, constant(0.0))) {}

at::Tensor LayerNorm::forward(const at::Tensor& x, at::ScalarType out) const {
  return ops::layer_norm(x, weight_, bias_, kLayerNormEps, out);
}

}  // namespace loopbank
