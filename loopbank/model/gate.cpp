#include "loopbank/model/gate.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <utility>

#include "loopbank/ops/gated_sum.h"

namespace loopbank {

Gate::Gate(Parameters& parameters, const std::string& name, const ModelConfig& config)
    : weight(parameters, name, config.hidden_size, config.hidden_size,
             {Initial::Kind::kConstant, 0.0}, ParameterKind::kMemoryGate),
      bias(parameters.add(name + ".bias", {config.hidden_size}, ParameterKind::kMemoryGateBias,
                          {Initial::Kind::kConstant, config.memory_gate_bias_init})) {}

Gated operator*(const Gate& gate, const at::Tensor& memory) {
  return {gate, memory};
}

GatedSum::GatedSum(const at::Tensor& h, std::vector<Gated> terms, const Place& place)
    : terms_(std::move(terms)) {
  std::vector<std::reference_wrapper<const Linear>> weights;
  for (const auto& term : terms_) {
    weights.emplace_back(term.gate.weight);
  }
  logits_ = side_by_side(weights, h, place);  // [B, T, K D]
}

at::Tensor GatedSum::gate(size_t k) const {
  const auto width = logits_.size(-1) / static_cast<int64_t>(terms_.size());
  const auto logits = logits_.narrow(-1, static_cast<int64_t>(k) * width, width);  // [B, T, D]
  return ops::memory_gate(logits, terms_[k].gate.bias);                            // [B, T, D]
}

at::Tensor operator+(const at::Tensor& h, const GatedSum& sum) {
  if (sum.terms_.empty()) {
    return h;
  }
  std::vector<at::Tensor> biases, memories;
  for (const auto& term : sum.terms_) {
    biases.push_back(term.gate.bias);
    memories.push_back(term.memory);
  }
  return ops::gated_sum(h, sum.logits_, biases, memories);  // [B, T, D]
}

}  // namespace loopbank
