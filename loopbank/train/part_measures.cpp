#include "loopbank/train/part_measures.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/xlogy.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

namespace loopbank {

ReadFocus::ReadFocus(int64_t num_layers)
    : local_(static_cast<size_t>(num_layers)), global_(static_cast<size_t>(num_layers)) {}

void ReadFocus::take(const MemoryRead& read) {
  const at::NoGradGuard no_grad;
  const auto query = read.query[0].to(at::kFloat);  // [T, D]
  const auto keys = read.keys.to(at::kFloat);       // [M, D]
  const auto scale = 1.0 / std::sqrt(static_cast<double>(query.size(-1)));
  const auto weights = at::softmax(at::matmul(query, keys.t()) * scale, -1);  // [T, M]
  const auto focus = std::log(static_cast<double>(keys.size(0))) +
                     at::xlogy(weights, weights).sum(-1).mean().view({1});  // [1]
  auto& of_layer = (read.global ? global_ : local_)[static_cast<size_t>(read.layer)];
  of_layer = of_layer.defined() ? at::cat({of_layer, focus}) : focus;  // [t]
}

std::vector<at::Tensor> loop_changes(const ModelConfig& config,
                                     const std::vector<at::Tensor>& state_change) {
  std::vector<at::Tensor> changes(state_change.size());
  for (size_t l = 0; l < state_change.size(); ++l) {
    const auto loops = config.loops(static_cast<int64_t>(l));
    if (loops > 1 && state_change[l].defined()) {
      changes[l] = state_change[l].narrow(0, 1, loops - 1).mean({1, 2}).max();
    }
  }
  return changes;
}

std::vector<at::Tensor> router_gradients(const LanguageModel& model, const at::Tensor& tokens,
                                         const at::Tensor& targets, const ForwardOptions& options) {
  const auto& config = model.config();
  std::vector<int64_t> layers;
  std::vector<at::Tensor> values;  // weight and bias of each of the layers
  for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
    if (config.loops(l) > 1) {
      layers.push_back(l);
      for (const char* part : {"weight", "bias"}) {
        values.push_back(model.parameters().get(fmt::format("layers.{}.router.{}", l, part)).value);
      }
    }
  }
  std::vector<at::Tensor> norms(static_cast<size_t>(config.num_hidden_layers));
  if (layers.empty()) {
    return norms;
  }
  const at::AutoGradMode with_gradients(true);
  const auto rows = std::min(kRouterRows, tokens.size(0));
  std::vector<at::Tensor> gradients;  // sums over rows
  for (const auto& value : values) {
    gradients.push_back(at::zeros_like(value));
  }
  for (int64_t row = 0; row < rows; ++row) {
    const auto loss = model.loss(tokens.narrow(0, row, 1), targets.narrow(0, row, 1), options);
    const auto of_row =
        torch::autograd::grad({loss.total}, values, /*grad_outputs=*/{}, /*retain_graph=*/false,
                              /*create_graph=*/false, /*allow_unused=*/true);
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < of_row.size(); ++i) {
      if (of_row[i].defined()) {
        gradients[i].add_(of_row[i], 1.0 / static_cast<double>(rows));
      }
    }
  }
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < layers.size(); ++i) {
    const auto both = at::cat({gradients[2 * i].flatten(), gradients[2 * i + 1].flatten()});
    norms[static_cast<size_t>(layers[i])] = both.to(at::kDouble).square().mean().sqrt();
  }
  return norms;
}

}  // namespace loopbank
