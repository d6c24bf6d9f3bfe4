#pragma once
/// The context of a pass over tokens of several texts, each with its own cache, rule and policy.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "loopbank/infer/cached_text.h"
#include "loopbank/infer/inside_recorder.h"
#include "loopbank/infer/key_value_policy.h"
#include "loopbank/model/inference_context.h"
#include "loopbank/ops/pages.h"
#include "loopbank/ops/self_attention.h"

namespace loopbank {

/// A token of a pass. The text has room for it (`CachedText::extend`).
struct BatchToken {
  CachedText* text = nullptr;
  int64_t position = 0;
  const KeyValuePolicy* policy = nullptr;
  TokenExit exit;
  bool inside = false;  ///< whether what the pass does with it is asked for
};

/// What a pass has computed.
struct LoopCounts {
  std::vector<int64_t> run;   ///< [L] tokens that ran a loop, over all loops
  std::vector<int64_t> late;  ///< [L] tokens whose keys and values were made late
  int64_t head = 0;           ///< tokens whose rule read the head, over all layers and loops
};

/// Used from pass to pass, so that its lists are allocated once.
class BatchContext final : public InferenceContext {
 public:
  BatchContext(const PageStore& store, const ops::AttentionHeads& heads)
      : store_(store), heads_(heads) {}

  /// Starts with a pass; what the one before has counted is forgotten.
  /// @param tokens  those of one text follow each other, in order; outlive the pass
  void begin(std::span<const BatchToken> tokens);

  [[nodiscard]] std::span<const int64_t> positions() const override { return positions_; }
  [[nodiscard]] const std::vector<TokenExit>& exits() const override { return exits_; }
  at::Tensor attend(const LoopRows& at, const at::Tensor& query, const KeysValues& own) override;
  void after_loop(const LoopOutcome& outcome) override;

  [[nodiscard]] bool watches_reads() const override { return inside_.watches(); }
  void after_read(const LoopRows& at, const MemoryRead& read) override;

  [[nodiscard]] const LoopCounts& counts() const { return counts_; }
  /// What the pass did with the tokens that asked.
  [[nodiscard]] InsideRecorder& inside() { return inside_; }

 private:
  class Slots;
  [[nodiscard]] const BatchToken& token(const LoopRows& at, size_t i) const;
  [[nodiscard]] int64_t loops_of(int64_t layer, const BatchToken& token) const;
  /// Writes own keys and values to the slot that tokens of the same pass find them in.
  void write_own(const LoopRows& at);

  /// Made of the states and of the outputs of all that leave; undefined where nobody asks for them.
  struct LateKeys {
    KeysValues of_states;
    KeysValues of_outputs;
  };
  [[nodiscard]] LateKeys make_late(const LoopOutcome& outcome);
  /// Lets a policy fill the slots of the outcome's token i.
  /// @param place_of_left  among those that leave; -1 for one that stays
  void fill(const KeyValuePolicy& policy, const LoopOutcome& outcome, const LateKeys& late,
            int64_t i, int64_t place_of_left);
  /// Values of a token's keys and values together.
  [[nodiscard]] size_t sum_size() const {
    return static_cast<size_t>(2 * store_.layout().key_heads * store_.layout().width);
  }

  [[nodiscard]] size_t row_of_pass(const LoopRows& at, size_t i) const {
    return at.rows != nullptr ? static_cast<size_t>((*at.rows)[i]) : i;
  }

  const PageStore& store_;
  ops::AttentionHeads heads_;
  std::span<const BatchToken> tokens_;
  std::vector<TokenExit> exits_;
  std::vector<int64_t> positions_;
  KeysValues own_;                               // of the loop that is running, in main memory
  std::vector<std::vector<const void*>> pages_;  // of each text of the pass
  std::vector<size_t> text_of_;                  // of each token, among those
  std::vector<ops::PagedRow> rows_;              // of an attention
  bool has_sums_ = false;
  std::vector<float> sums_;            // [R, 2, H_kv d], of who mixes
  std::vector<at::BFloat16> rounded_;  // [2, H_kv d]
  LoopCounts counts_;
  InsideRecorder inside_;
  bool is_late_ = false;  // late keys and values are being made
};

}  // namespace loopbank
