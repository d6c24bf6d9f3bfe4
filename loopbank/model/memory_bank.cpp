#include "loopbank/model/memory_bank.h"

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

namespace loopbank {

MemoryBank::MemoryBank(Parameters& parameters, const std::string& name, int64_t num_slots,
                       int64_t hidden_size)
    : keys_(parameters.add(name + ".keys", {num_slots, hidden_size}, ParameterKind::kMemory,
                           {Initial::Kind::kNormal, kInitialDeviation})),
      values_(parameters.add(name + ".values", {num_slots, hidden_size}, ParameterKind::kMemory,
                             {Initial::Kind::kNormal, kInitialDeviation})) {}

OpenBank MemoryBank::open(const LayerNorm& key_norm, const Pass& pass) const {
  return {.keys = key_norm(keys_, pass.compute_dtype()),  // [M, D]
          .values = values_.to(pass.compute_dtype())};    // [M, D]
}

SharedMemory::SharedMemory(Parameters& parameters, const std::string& name,
                           const ModelConfig& config)
    : bank_(config.global_memory_slots > 0
                ? std::optional<MemoryBank>(std::in_place, parameters, name,
                                            config.global_memory_slots, config.hidden_size)
                : std::nullopt),
      query_norm_(parameters, name + ".query_norm", config.hidden_size),
      key_norm_(parameters, name + ".key_norm", config.hidden_size) {}

OpenBank SharedMemory::open(const Pass& pass) const {
  return bank_ ? bank_->open(key_norm_, pass) : OpenBank{};
}

GatedRead::GatedRead(Parameters& parameters, const std::string& name, const std::string& which,
                     const ModelConfig& config)
    : gate(parameters, name + "." + which + "_gate", config),
      projection(parameters, name + "." + which + "_projection", config.hidden_size,
                 config.hidden_size, {Initial::Kind::kXavierUniform}) {}

OpenBank GatedRead::project(const OpenBank& bank, const Place& place) const {
  return {.keys = bank.keys, .values = projection(bank.values, place), .projected = true};
}

Gated GatedRead::operator()(const at::Tensor& query, const OpenBank& bank,
                            const Place& place) const {
  const auto m = bank.read(query);  // [B, T, D]
  return gate * (bank.projected ? m : projection(m, place));
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

OpenBanks LayerMemory::open(const at::Tensor& x, int64_t num_loops, const Place& place) const {
  const auto& pass = place.pass;
  OpenBanks banks{.local = place.weights.opened(
                      [&] { return bank_ ? bank_->open(shared_->key_norm(), pass) : OpenBank{}; }),
                  .global = pass.global_bank};
  if (pass.context() != nullptr || pass.prepared() != nullptr) {
    return banks;
  }
  const auto num_reads = x.numel() / x.size(-1) * pass.loops(num_loops);
  if (local_ && projects_values(banks.local.keys.size(0), num_reads)) {
    banks.local = local_->project(banks.local, place);
  }
  if (global_ && projects_values(banks.global.keys.size(0), num_reads)) {
    banks.global = global_->project(banks.global, place);
  }
  return banks;
}

GatedSum LayerMemory::operator()(const at::Tensor& h, const OpenBanks& banks,
                                 const Place& place) const {
  const auto& pass = place.pass;
  const auto normed = norm_(h, pass.state_dtype());                    // [B, T, D]
  const auto q = shared_->query_norm()(normed, pass.compute_dtype());  // [B, T, D]
  std::vector<Gated> terms;
  terms.reserve(2);
  if (local_) {  // g_L * (W_L m_L)
    terms.push_back((*local_)(q, banks.local, place));
  }
  if (global_) {  // g_G * (W_G m_G)
    terms.push_back((*global_)(q, banks.global, place));
  }
  GatedSum memory(h, std::move(terms), place);
  record(q, banks, memory, place);
  return memory;
}

void LayerMemory::record(const at::Tensor& query, const OpenBanks& banks, const GatedSum& memory,
                         const Place& place) const {
  auto* recorder = place.pass.recorder();
  auto* context = place.pass.context();
  const bool is_watched = context != nullptr && context->watches_reads();
  if (recorder == nullptr && !is_watched) {
    return;
  }
  const auto show = [&](bool global, const OpenBank& bank, const at::Tensor& gate) {
    const MemoryRead read{.layer = place.layer,
                          .loop = place.loop,
                          .global = global,
                          .query = query,
                          .keys = bank.keys,
                          .gate = gate};
    if (recorder != nullptr) {
      recorder->record_read(read);
    }
    if (is_watched) {
      context->after_read(place.rows(), read);
    }
  };
  if (local_) {
    show(/*global=*/false, banks.local, memory.gate(0));
  }
  if (global_) {
    show(/*global=*/true, banks.global, memory.gate(local_ ? 1 : 0));
  }
}

}  // namespace loopbank
