#pragma once
/// What the values of a memory bank say: the tokens towards which each slot pushes the logits.
///
///     logits(s) = head(final_norm.weight * (W V_s))      less their mean over the vocabulary
///
/// W is the projection of the layer that reads: a local bank has one, the global bank one per
/// layer, whose tokens are listed separately. This is the direct path from the slot to the head. It
/// leaves out what the later blocks make of the read; the gate, which differs from token to token
/// (elementwise, in (0, 1)); and the final norm's division by the root mean square of the state,
/// which scales all logits of a token alike. So the order of a slot's tokens and the relative sizes
/// of slots are meaningful; the logits are not in nats.

#include <cstdint>
#include <vector>

#include "loopbank/dissect/memory_banks.h"

namespace loopbank {

struct SlotToken {
  int64_t id = 0;
  double logit = 0.0;  ///< less the mean over the vocabulary
};

/// The tokens that one slot promotes through one layer's projection.
struct SlotTokens {
  std::vector<SlotToken> raised = {};   ///< by descending logit
  std::vector<SlotToken> lowered = {};  ///< by ascending logit
};

/// @param layer      the layer that reads the bank
/// @param slots      of the bank
/// @param num_tokens  ids from 0 that have a text, as many as the tokenizer has; the head may have
///   more (padding)
/// @param count      tokens in each direction, at most
/// @return one per slot, in order. Numerics: fp32.
[[nodiscard]] std::vector<SlotTokens> slot_tokens(const LanguageModel& model, const BankId& bank,
                                                  int64_t layer, const std::vector<int64_t>& slots,
                                                  int64_t num_tokens, int64_t count);

}  // namespace loopbank
