#include "loopbank/model/memory_bank.h"

#include <ATen/ATen.h>

#include "loopbank/ops/elementwise.h"
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

GatedRead::Output GatedRead::forward(const at::Tensor& h, const at::Tensor& query,
                                     const OpenBank& bank, Pass& pass) const {
  const auto m = ops::memory_read(query, bank.keys, bank.values);  // [B, T, D]
  const auto gated = ops::gate_memory(gate_.forward(h, pass), gate_bias_,
                                      projection_.forward(m, pass));  // [B, T, D]
  return {.value = gated.value, .gate = gated.gate};
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
  const auto low = h.to(pass.compute_dtype());                                     // [B, T, D]
  Output out;
  if (local_) {
    auto local = local_->forward(low, query, local_bank, pass);
    out.value = local.value;
    out.local_gate = local.gate;
  }
  if (global_) {
    auto global = global_->forward(low, query, pass.global_bank, pass);
    out.value = out.value.defined() ? out.value + global.value : global.value;
    out.global_gate = global.gate;
  }
  return out;
}

}  // namespace loopbank
