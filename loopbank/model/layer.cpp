#include "loopbank/model/layer.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scalar_tensor.h>

#include <cmath>
#include <vector>

#include "loopbank/model/recompute.h"

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

LayerOutput forward_layer(const Layer& layer, const at::Tensor& x, Pass& pass) {
  if (!pass.recomputes(Recompute::kLayer) &&
      !(layer.is_dense() && pass.recomputes(Recompute::kLoop))) {
    return layer.forward(x, pass);
  }
  const auto again = [&layer, first = pass.fork()](const std::vector<at::Tensor>& in) {
    const auto inner = first->fork();
    inner->global_bank = {.keys = in[1], .values = in[2]};
    const auto out = layer.forward(in[0], *inner);
    return std::vector<at::Tensor>{out.state, out.expected_loops};
  };
  const auto out = recomputed(again, {x, pass.global_bank.keys, pass.global_bank.values});
  return {.state = out[0], .expected_loops = out[1]};
}

DenseLayer::DenseLayer(Parameters& parameters, const std::string& name, const ModelConfig& config,
                       int64_t layer)
    : layer_(layer),
      block_(parameters, name + ".block", config),
      scale_(depth_scale(config.depth_scale, layer + 1, parameters.device())) {}

LayerOutput DenseLayer::forward(const at::Tensor& x, Pass& pass) const {
  pass.enter(layer_, 1);
  auto y = block_.forward(x, scale_, pass);  // [B, T, D]
  if (auto* recorder = pass.recorder(); recorder != nullptr) {
    recorder->record_states(layer_, x, {y});
  }
  return {.state = y, .expected_loops = at::ones({x.size(0), x.size(1)}, x.options())};  // [B, T]
}

}  // namespace loopbank
