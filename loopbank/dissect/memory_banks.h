#pragma once
/// The memory banks of a model by the names that users give them: `layer0`, `global`, and slots of
/// one, `layer0:3,9`.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "loopbank/model/language_model.h"

namespace loopbank {

/// A layer's own bank, or the global one.
struct BankId {
  static constexpr int64_t kGlobal = -1;
  int64_t layer = kGlobal;  ///< from 0
  [[nodiscard]] bool is_global() const { return layer == kGlobal; }
  bool operator==(const BankId&) const = default;
};

/// `layer0`, ..., `global`.
[[nodiscard]] std::string bank_name(const BankId& bank);

/// Every bank of a model: those of the layers in order, then the global one. Empty without memory.
[[nodiscard]] std::vector<BankId> banks_of(const ModelConfig& config);

/// M of a bank.
[[nodiscard]] int64_t num_slots(const ModelConfig& config, const BankId& bank);

/// V [M, D] of a bank: the parameter itself, so writing to it changes the model.
[[nodiscard]] at::Tensor bank_values(const LanguageModel& model, const BankId& bank);

/// W_L or W_G [D, D], by which a layer adds what it read from a bank to its state.
/// @param layer  the reading layer; for a local bank its own
[[nodiscard]] at::Tensor bank_projection(const LanguageModel& model, const BankId& bank,
                                         int64_t layer);

/// Slots of one bank, or the whole of it.
struct BankSlots {
  BankId bank;
  std::vector<int64_t> slots = {};  ///< empty: all
};

/// `layer0` or `layer0:3,9`.
[[nodiscard]] std::string slots_name(const BankSlots& slots);

/// Reads BANK or BANK:SLOT[,SLOT...].
/// @param where  the flag, which begins the error text
/// @throws Error kConfig for a bank or a slot that the model does not have, naming those it has
[[nodiscard]] BankSlots parse_bank_slots(const std::string& where, const std::string& text,
                                         const ModelConfig& config);

}  // namespace loopbank
