#pragma once
/// What a bank, a slot or a slot's place is worth: bits a byte of a text with it changed, less
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

/// A change of values: the keys stay, so the slots are read as before as long as the states are.
struct Ablation {
  enum class Kind {
    kZero,  ///< the slots' values are zero: what is read of them adds nothing
    kMean,  ///< every value is the bank's mean read: which slot is read makes no difference
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
/// A bank whose reads all give what they gave on the mean, sum_s w_s V_s: it still adds what a bias
/// would, and its cost is what the choice among the slots is worth.
/// @param weight  [M] mean weights of the bank's slots
[[nodiscard]] Ablation averaged(const BankId& bank, const at::Tensor& weight);
/// @throws Error kConfig where it is not two slots
[[nodiscard]] Ablation swapped(const std::string& where, const BankSlots& slots);

struct AblationCost {
  Ablation::Kind kind = Ablation::Kind::kZero;
  std::string what = {};
  double bpb = 0.0;   ///< with the change
  double cost = 0.0;  ///< bpb less that of the model as it is; above 0: it helps
  std::optional<double> standard_error = {};  ///< of the cost, over two rows of the text or more
};

struct AblationOptions {
  int64_t max_loops = 0;  ///< loop budget; 0: each layer's own N
  /// Called before each ablation with how many are done and all of them.
  std::function<void(int64_t done, int64_t total)> on_progress = {};
};

/// `zero`, `mean` or `swap`.
[[nodiscard]] std::string change_name(Ablation::Kind kind);

/// Runs the model over the text once for each ablation. The values are those of before when it
/// returns, and when it throws.
/// @param row_nats  of the model as it is, a number a row (MemoryReads)
[[nodiscard]] std::vector<AblationCost> ablate(LanguageModel& model, const ScoredText& text,
                                               const std::vector<double>& row_nats,
                                               const std::vector<Ablation>& ablations,
                                               const AblationOptions& options = {});

}  // namespace loopbank
