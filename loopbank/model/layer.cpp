#include "loopbank/model/layer.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/scalar_tensor.h>

#include <cmath>

#include "loopbank/model/recompute.h"
#include "loopbank/ops/workspace.h"

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
    : f_(parameters, name + ".block", config),
      s_(depth_scale(config.depth_scale, layer + 1, parameters.device())) {}

LayerOutput DenseLayer::forward(const at::Tensor& x, const Place& place) const {
  const auto body = [this](const at::Tensor& h, const OpenBanks&, const Place& in) {
    return f_(h, s_, in);
  };
  const auto y = kept_or_recomputed(Recompute::kLoop, body, x, /*banks=*/{}, place);
  if (auto* recorder = place.pass.recorder(); recorder != nullptr) {
    recorder->record_states(place.layer, x, {y});
  }
  if (auto* context = place.pass.context(); context != nullptr) {
    context->after_loop({.at = place.rows(), .num_rows = y.size(1), .together = true});
  }
  return {.state = y, .expected_loops = ops::new_filled({x.size(0), x.size(1)}, 1.0, x)};  // [B, T]
}

}  // namespace loopbank
