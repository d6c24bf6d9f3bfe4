#include "loopbank/model/layer.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/scalar_tensor.h>

#include "loopbank/model/loop_scale.h"
#include "loopbank/model/recompute.h"
#include "loopbank/ops/workspace.h"

namespace loopbank {
namespace {

/// s of a layer, a scalar; undefined for 1 whatever the layer.
at::Tensor scale_tensor(const std::string& rule, int64_t layer, at::Device device) {
  return rule == "none" ? at::Tensor()
                        : at::scalar_tensor(depth_scale(rule, layer),
                                            at::TensorOptions().dtype(at::kFloat).device(device));
}

}  // namespace

DenseLayer::DenseLayer(Parameters& parameters, const std::string& name, const ModelConfig& config,
                       int64_t layer)
    : f_(parameters, name + ".block", config),
      s_(scale_tensor(config.depth_scale, layer, parameters.device())) {}

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
