#pragma once
/// What a trained model does with its memory banks on a text: which slots are read, where, what
/// they say and what they are worth.
///
///     text -> rows -> reads (memory_reads.h) -> most read slots -> tokens (memory_values.h)
///                                                               -> cost (memory_ablation.h)

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/dissect/memory_ablation.h"
#include "loopbank/dissect/memory_reads.h"
#include "loopbank/infer/inference_model.h"

namespace loopbank {

struct InspectOptions {
  int64_t max_tokens = 8192;           ///< of the text
  int64_t skip_bad = 0;                ///< lines that are no document and are passed over
  int64_t sequence_length = 0;         ///< tokens of a row; 0: max_position_embeddings
  int64_t num_slots = 5;               ///< of each bank described in full, the most read ones
  int64_t num_top = 5;                 ///< contexts, tokens and promoted tokens of a slot
  int64_t max_loops = 0;               ///< loop budget; 0: each layer's own N
  bool ablate_banks = true;            ///< all banks zeroed, then each, and each averaged
  bool ablate_slots = true;            ///< each slot described in full
  std::vector<std::string> zero = {};  ///< further ones: `all`, BANK or BANK:SLOT[,SLOT...]
  std::vector<std::string> swap = {};  ///< BANK:SLOT,SLOT
  /// Called before each pass over the text with the number done and their total; before the first
  /// it is (0, 1), since the most read slots are not known yet.
  std::function<void(int64_t done, int64_t total)> on_progress = {};
};

/// A token at which a slot is read, with the text around it; all well-formed UTF-8.
struct ContextText {
  ReadContext read;
  std::string before = {};  ///< within the row: what the model has seen
  std::string token = {};
  std::string after = {};
};

struct TokenText {
  TopToken top;
  std::string token = {};
};

struct PromotedToken {
  int64_t id = 0;
  std::string token = {};
  double logit = 0.0;
};

/// The tokens that a slot promotes through one layer that reads it.
struct LayerTokens {
  int64_t layer = 0;
  std::vector<PromotedToken> raised = {};
  std::vector<PromotedToken> lowered = {};
};

/// One of the most read slots of a bank.
struct SlotReport {
  int64_t slot = 0;
  std::vector<ContextText> contexts = {};
  std::vector<TokenText> tokens = {};
  std::vector<LayerTokens> promoted = {};   ///< one per layer that reads the bank
  std::optional<AblationCost> zeroed = {};  ///< what its absence costs, if asked for
};

struct BankReport {
  BankUse use = {};
  std::vector<SlotReport> slots = {};  ///< by falling weight
};

struct MemoryReport {
  std::string model = {};  ///< where it was loaded from, filled in by the caller
  std::string text = {};
  int64_t num_tokens = 0;
  int64_t num_rows = 0;
  int64_t row_tokens = 0;
  int64_t num_bytes = 0;
  int64_t num_skipped = 0;  ///< lines of the text that were not documents
  int64_t max_loops = 0;    ///< the budget; 0: each layer's own N
  double bpb = 0.0;         ///< of the model as it is
  std::vector<BankReads> reads = {};
  std::vector<BankReport> banks = {};
  std::vector<AblationCost> ablations = {};
};

/// @param loaded  its values are changed for each ablation and restored
/// @throws Error kCheckpoint for a model without memory; kConfig for a bank, slot, row length or
///   loop budget that the model does not have; kData for a text that cannot be read or is too short
[[nodiscard]] MemoryReport inspect_memory(InferenceModel& loaded, const std::filesystem::path& text,
                                          const InspectOptions& options = {});

}  // namespace loopbank
