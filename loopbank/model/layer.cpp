#include "loopbank/model/layer.h"

#include <ATen/ATen.h>

#include <cmath>

namespace loopbank {
namespace {

/// s of layer l (from 1), a scalar; undefined for 1.
at::Tensor depth_scale(const std::string& rule, int64_t l, at::Device device) {
  if (rule == "none") {
    return {};
  }
  const auto depth = static_cast<double>(l);
  return at::scalar_tensor(rule == "inverse" ? 1.0 / depth : 1.0 / std::sqrt(depth),
                           at::TensorOptions().dtype(at::kFloat).device(device));
}

}  // namespace

DenseLayer::DenseLayer(Parameters& parameters, const std::string& name, const ModelConfig& config,
                       int64_t layer)
    : layer_(layer),
      block_(parameters, name + ".block", config),
      scale_(depth_scale(config.depth_scale, layer + 1, parameters.device())) {}

LayerOutput DenseLayer::forward(const at::Tensor& x, Pass& pass) const {
  pass.enter(layer_, 1);
  return {.state = block_.forward(x, scale_, pass),                          // [B, T, D]
          .expected_loops = at::ones({x.size(0), x.size(1)}, x.options())};  // [B, T]
}

}  // namespace loopbank
