#include "loopbank/model/memory_bank.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "loopbank/ops/gated_sum.h"
#include "loopbank/ops/memory_read.h"

namespace loopbank {

MemoryBank::MemoryBank(Parameters& parameters, const std::string& name, int64_t num_slots,
                       int64_t hidden_size)
    : keys_(parameters.add(name + ".keys", {num_slots, hidden_size}, ParameterKind::kMemory,
                           {Initial::Kind::kNormal, kInitialDeviation})),
      values_(parameters.add(name + ".values", {num_slots, hidden_size}, ParameterKind::kMemory,
                             {Initial::Kind::kNormal, kInitialDeviation})) {}

OpenBank MemoryBank::open(const LayerNorm& key_norm, Pass& pass) const {
  return {.keys = key_norm.forward(keys_, pass.compute_dtype()),  // [M, D]
          .values = pass.weight(values_)};                        // [M, D]
}

SharedMemory::SharedMemory(Parameters& parameters, const std::string& name,
                           const ModelConfig& config)
    : bank_(config.global_memory_slots > 0
                ? std::optional<MemoryBank>(std::in_place, parameters, name,
                                            config.global_memory_slots, config.hidden_size)
                : std::nullopt),
      query_norm_(parameters, name + ".query_norm", config.hidden_size),
      key_norm_(parameters, name + ".key_norm", config.hidden_size) {}

OpenBank SharedMemory::open(Pass& pass) const {
  return bank_ ? bank_->open(key_norm_, pass) : OpenBank{};
}

GatedRead::GatedRead(Parameters& parameters, const std::string& name, const std::string& which,
                     const ModelConfig& config)
    : gate_(parameters, name + "." + which + "_gate", config.hidden_size, config.hidden_size,
            {Initial::Kind::kConstant, 0.0}),
      gate_bias_(parameters.add(name + "." + which + "_gate.bias", {config.hidden_size},
                                ParameterKind::kBias,
                                {Initial::Kind::kConstant, config.memory_gate_bias_init})),
      projection_(parameters, name + "." + which + "_projection", config.hidden_size,
                  config.hidden_size, {Initial::Kind::kXavierUniform}) {}

at::Tensor GatedRead::read(const at::Tensor& query, const OpenBank& bank, Pass& pass) const {
  const auto m = ops::memory_read(query, bank.keys, bank.values);  // [B, T, D]
  return projection_.forward(m, pass);                             // [B, T, D]
}

LayerMemory::LayerMemory(Parameters& parameters, const std::string& name, const ModelConfig& config,
                         const SharedMemory& shared)
    : shared_(&shared), norm_(parameters, name + ".norm", config.hidden_size) {
  if (config.local_memory_slots > 0) {
    bank_.emplace(parameters, name, config.local_memory_slots, config.hidden_size);
    local_.emplace(parameters, name, "local", config);
  }
  if (config.global_memory_slots > 0) {
    global_.emplace(parameters, name, "global", config);
  }
}

OpenBank LayerMemory::open(Pass& pass) const {
  return bank_ ? bank_->open(shared_->key_norm(), pass) : OpenBank{};
}

LayerMemory::Output LayerMemory::forward(const at::Tensor& h, const OpenBank& local_bank,
                                         Pass& pass) const {
  const auto normed = norm_.forward(h, pass.state_dtype());                        // [B, T, D]
  const auto query = shared_->query_norm().forward(normed, pass.compute_dtype());  // [B, T, D]
  std::vector<std::reference_wrapper<const Linear>> gates;
  std::vector<at::Tensor> biases;    // b_g [D] of each bank
  std::vector<at::Tensor> memories;  // W m [B, T, D] of each bank
  const auto read = [&](const GatedRead& from, const OpenBank& bank) {
    gates.emplace_back(from.gate());
    biases.push_back(from.gate_bias());
    memories.push_back(from.read(query, bank, pass));
  };
  if (local_) {
    read(*local_, local_bank);
  }
  if (global_) {
    read(*global_, pass.global_bank);
  }
  const auto logits = forward_side_by_side(gates, h, pass);  // [B, T, D] a bank, side by side
  Output out{
      .state = ops::gated_sum(h, logits, biases, memories), .local_gate = {}, .global_gate = {}};
  if (pass.recorder() != nullptr) {
    const auto by_bank = logits.chunk(static_cast<int64_t>(gates.size()), -1);  // [B, T, D]
    if (local_) {
      out.local_gate = ops::memory_gate(by_bank.front(), biases.front());
      pass.record_read(/*global=*/false, query, local_bank, out.local_gate);
    }
    if (global_) {
      out.global_gate = ops::memory_gate(by_bank.back(), biases.back());
      pass.record_read(/*global=*/true, query, pass.global_bank, out.global_gate);
    }
  }
  return out;
}

}  // namespace loopbank
