#include "loopbank/model/recompute.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/kept.h"

namespace loopbank {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class Recomputed : public torch::autograd::Function<Recomputed> {
 public:
  static variable_list forward(AutogradContext* context, const TensorsFunction& function,
                               at::TensorList inputs) {
    context->save_for_backward(inputs.vec());
    context->saved_data["function"] = ops::keep(function);
    return function(inputs.vec());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto function = ops::kept<TensorsFunction>(context->saved_data["function"]);
    variable_list inputs;
    for (const auto& saved : context->get_saved_variables()) {
      inputs.push_back(saved.detach().requires_grad_(saved.requires_grad()));
    }
    variable_list outputs, output_gradients;
    {
      const at::AutoGradMode with_gradients(true);
      const auto all = function(inputs);
      for (size_t i = 0; i < all.size(); ++i) {
        if (gradients[i].defined() && all[i].requires_grad()) {
          outputs.push_back(all[i]);
          output_gradients.push_back(gradients[i]);
        }
      }
    }
    torch::autograd::backward(outputs, output_gradients);
    variable_list result(1);  // of the function itself
    for (const auto& input : inputs) {
      result.push_back(input.grad());
    }
    return result;
  }
};

}  // namespace

std::vector<at::Tensor> recomputed(const TensorsFunction& function,
                                   const std::vector<at::Tensor>& inputs) {
  // Autograd takes defined inputs alone.
  std::vector<bool> is_defined;
  std::vector<at::Tensor> defined;
  for (const auto& input : inputs) {
    is_defined.push_back(input.defined());
    if (input.defined()) {
      defined.push_back(input);
    }
  }
  const auto of_all = [function, is_defined](const std::vector<at::Tensor>& some) {
    std::vector<at::Tensor> all;
    auto next = some.begin();
    for (const bool present : is_defined) {
      all.push_back(present ? *next++ : at::Tensor());
    }
    return function(all);
  };
  return Recomputed::apply(TensorsFunction(of_all), at::TensorList(defined));
}

std::vector<at::Tensor> kept_or_recomputed(Recompute part,
                                           const PartOfPass<std::vector<at::Tensor>>& function,
                                           const at::Tensor& h, const OpenBanks& banks,
                                           const Place& place) {
  const auto& pass = place.pass;
  if (!pass.recomputes(part)) {
    return function(h, banks, place);
  }
  // Banks are inputs, that of the pass as well, which a whole layer opens for itself.
  const auto again = [function, bare = pass.keeping_all(/*global_bank=*/{}), layer = place.layer,
                      loop = place.loop, local_projected = banks.local.projected,
                      global_projected = banks.global.projected](const auto& in) {
    const auto inner = bare.keeping_all({.keys = in[5], .values = in[6]});
    const OpenBanks opened{
        .local = {.keys = in[1], .values = in[2], .projected = local_projected},
        .global = {.keys = in[3], .values = in[4], .projected = global_projected}};
    LayerWeights weights(inner.compute_dtype());
    return function(in[0], opened, {inner, weights, layer, loop});
  };
  const auto& shared = pass.global_bank;
  return recomputed(again, {h, banks.local.keys, banks.local.values, banks.global.keys,
                            banks.global.values, shared.keys, shared.values});
}

at::Tensor kept_or_recomputed(Recompute part, const PartOfPass<at::Tensor>& function,
                              const at::Tensor& h, const OpenBanks& banks, const Place& place) {
  if (!place.pass.recomputes(part)) {
    return function(h, banks, place);
  }
  const auto as_list = [function](const at::Tensor& state, const OpenBanks& own, const Place& in) {
    return std::vector{function(state, own, in)};
  };
  return kept_or_recomputed(part, as_list, h, banks, place).front();
}

}  // namespace loopbank
