#pragma once
/// What the values of a memory bank say: the words towards which each slot pushes the logits.
///
///     logits(s) = head(final_norm.weight * (W V_s))      less their mean over the vocabulary
///
/// W is the projection of the layer that reads: a local bank has one, the global bank one for each
/// layer, whose words are told apart. This is the direct path from the slot to the head. Left out
/// are what the blocks behind the read make of it, the gate, which is another one for every token
/// (elementwise, in (0, 1)), and the division by the root mean square of the state in the final
/// norm, which scales all logits of a token alike. So the order of a slot's words and the sizes of
/// slots against each other mean something; the logits are not in nats.

#include <cstdint>
#include <vector>

#include "loopbank/dissect/memory_banks.h"

namespace loopbank {

struct SlotWord {
  int64_t id = 0;
  double logit = 0.0;  ///< less the mean over the vocabulary
};

/// The words of one slot through one layer's projection.
struct SlotWords {
  std::vector<SlotWord> raised = {};   ///< by falling logit
  std::vector<SlotWord> lowered = {};  ///< by rising logit
};

/// @param layer      that reads the bank
/// @param slots      of the bank
/// @param num_words  ids from 0 that have a text: the tokenizer's; the head may have more (padding)
/// @param count      words each way, at most
/// @return one a slot, in their order. Numerics: fp32.
[[nodiscard]] std::vector<SlotWords> slot_words(const LanguageModel& model, const BankId& bank,
                                                int64_t layer, const std::vector<int64_t>& slots,
                                                int64_t num_words, int64_t count);

}  // namespace loopbank
