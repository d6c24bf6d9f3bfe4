#include "loopbank/dissect/memory_banks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "loopbank/support/error.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

BankId parse_bank(const std::string& where, const std::string& name, const ModelConfig& config) {
  std::vector<std::string> known;
  for (const auto& bank : banks_of(config)) {
    known.push_back(bank_name(bank));
    if (name == known.back()) {
      return bank;
    }
  }
  fail(ErrorCode::kConfig, "{}: expected a bank of the model, got \"{}\".{}", where, name,
       suggestion(name, known));
}

int64_t parse_slot(const std::string& where, const std::string& text, const BankId& bank,
                   int64_t slots) {
  int64_t slot = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), slot);
  if (error != std::errc() || end != text.data() + text.size() || slot < 0 || slot >= slots) {
    fail(ErrorCode::kConfig, "{}: expected slots of {} from 0 to {}, got \"{}\".", where,
         bank_name(bank), slots - 1, text);
  }
  return slot;
}

}  // namespace

std::string bank_name(const BankId& bank) {
  return bank.is_global() ? "global" : fmt::format("layer{}", bank.layer);
}

std::vector<BankId> banks_of(const ModelConfig& config) {
  std::vector<BankId> banks;
  for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
    if (config.loops(l) > 0 && config.local_memory_slots > 0) {
      banks.push_back({l});
    }
  }
  if (config.has_global_memory()) {
    banks.push_back({BankId::kGlobal});
  }
  return banks;
}

int64_t num_slots(const ModelConfig& config, const BankId& bank) {
  return bank.is_global() ? config.global_memory_slots : config.local_memory_slots;
}

at::Tensor bank_values(const LanguageModel& model, const BankId& bank) {
  const auto name =
      bank.is_global() ? "memory.values" : fmt::format("layers.{}.memory.values", bank.layer);
  return model.parameters().get(name).value;
}

at::Tensor bank_projection(const LanguageModel& model, const BankId& bank, int64_t layer) {
  const auto name = fmt::format("layers.{}.memory.{}_projection.weight", layer,
                                bank.is_global() ? "global" : "local");
  return model.parameters().get(name).value;
}

std::string slots_name(const BankSlots& slots) {
  return slots.slots.empty()
             ? bank_name(slots.bank)
             : fmt::format("{}:{}", bank_name(slots.bank), fmt::join(slots.slots, ","));
}

BankSlots parse_bank_slots(const std::string& where, const std::string& text,
                           const ModelConfig& config) {
  const auto colon = text.find(':');
  BankSlots found{.bank = parse_bank(where, text.substr(0, colon), config), .slots = {}};
  if (colon == std::string::npos) {
    return found;
  }
  const auto slots = num_slots(config, found.bank);
  for (size_t begin = colon + 1; begin <= text.size();) {
    const auto comma = std::min(text.find(',', begin), text.size());
    const auto slot = parse_slot(where, text.substr(begin, comma - begin), found.bank, slots);
    if (std::find(found.slots.begin(), found.slots.end(), slot) != found.slots.end()) {
      fail(ErrorCode::kConfig, "{}: expected different slots, got {} twice in \"{}\".", where, slot,
           text);
    }
    found.slots.push_back(slot);
    begin = comma + 1;
  }
  return found;
}

}  // namespace loopbank
