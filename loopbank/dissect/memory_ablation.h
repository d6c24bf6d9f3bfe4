#pragma once
/// What a bank, a slot or a slot's place is worth: bits per byte of a text with it changed, minus
/// those of the model as it is.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/dissect/memory_banks.h"
#include "loopbank/dissect/scored_text.h"

namespace loopbank {

/// A change of values: the keys stay, so slots are read as before as long as the states are the
/// same.
struct Ablation {
  enum class Kind {
    kZero,  ///< the slots' values are zero: reading them adds nothing
    kMean,  ///< every value is the bank's mean read: it makes no difference which slot is read
    kSwap,  ///< two slots of one bank exchange their values
  };
  Kind kind = Kind::kZero;
  std::string what = {};              ///< `layer0:3`, `global`, `all`
  at::Tensor weight = {};             ///< kMean: [M], summing to 1
  std::vector<BankSlots> slots = {};  ///< kSwap: one bank and two slots of it
};

/// The whole of a bank or some of its slots zeroed, all at once.
[[nodiscard]] Ablation zeroed(const BankSlots& slots);
/// All banks of the model zeroed: the model without its memory.
[[nodiscard]] Ablation all_zeroed(const ModelConfig& config);
/// A bank in which every read returns the mean read, sum_s w_s V_s: it still acts as a bias, and
/// its cost is what choosing among the slots is worth.
/// @param weight  [M] mean weights of the bank's slots
[[nodiscard]] Ablation averaged(const BankId& bank, const at::Tensor& weight);
/// @throws Error kConfig unless it is exactly two slots
[[nodiscard]] Ablation swapped(const std::string& where, const BankSlots& slots);

struct AblationCost {
  Ablation::Kind kind = Ablation::Kind::kZero;
  std::string what = {};
  double bpb = 0.0;   ///< with the change
  double cost = 0.0;  ///< bpb minus that of the model as it is; above 0: it helps
  std::optional<double> standard_error = {};  ///< of the cost, over at least two rows of the text
};

struct AblationOptions {
  int64_t max_loops = 0;  ///< loop budget; 0: each layer's own N
  /// Called before each ablation with the number done and their total.
  std::function<void(int64_t done, int64_t total)> on_progress = {};
};

/// `zero`, `mean` or `swap`.
[[nodiscard]] std::string change_name(Ablation::Kind kind);

/// Runs the model over the text once for each ablation. The values are restored when it returns,
/// and when it throws.
/// @param row_nats  of the model as it is, one number per row (MemoryReads)
[[nodiscard]] std::vector<AblationCost> ablate(LanguageModel& model, const ScoredText& text,
                                               const std::vector<double>& row_nats,
                                               const std::vector<Ablation>& ablations,
                                               const AblationOptions& options = {});

}  // namespace loopbank
