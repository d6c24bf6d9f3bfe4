#include "loopbank/dissect/memory_ablation.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/tensor.h>

#include <numbers>
#include <numeric>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

/// Values of a model as an ablation leaves them, and as they were once it goes.
class ChangedValues {
 public:
  ChangedValues(LanguageModel& model, const Ablation& ablation) {
    const at::NoGradGuard no_grad;
    for (const auto& slots : ablation.slots) {
      auto values = bank_values(model, slots.bank);  // [M, D]
      before_.emplace_back(values, values.clone());
      change(values, slots.slots, ablation);
    }
  }
  ~ChangedValues() {
    const at::NoGradGuard no_grad;
    for (auto change = before_.rbegin(); change != before_.rend(); ++change) {
      change->first.copy_(change->second);
    }
  }
  ChangedValues(const ChangedValues&) = delete;
  ChangedValues& operator=(const ChangedValues&) = delete;

 private:
  /// @param values  [M, D]
  static void change(at::Tensor& values, const std::vector<int64_t>& slots,
                     const Ablation& ablation) {
    const auto rows = (slots.empty() ? at::arange(values.size(0)) : at::tensor(slots, at::kLong))
                          .to(values.device());
    switch (ablation.kind) {
      case Ablation::Kind::kZero:
        values.index_fill_(0, rows, 0.0);
        break;
      case Ablation::Kind::kMean:
        values.copy_(at::mv(values.t(), ablation.weight.to(values.options())).expand_as(values));
        break;
      case Ablation::Kind::kSwap:
        values.index_copy_(0, rows, values.index_select(0, rows.flip(0)));
        break;
    }
  }

  std::vector<std::pair<at::Tensor, at::Tensor>> before_;  // the parameter, what it held
};

}  // namespace

Ablation zeroed(const BankSlots& slots) {
  return {.kind = Ablation::Kind::kZero, .what = slots_name(slots), .slots = {slots}};
}

Ablation all_zeroed(const ModelConfig& config) {
  Ablation ablation{.kind = Ablation::Kind::kZero, .what = "all", .slots = {}};
  for (const auto& bank : banks_of(config)) {
    ablation.slots.push_back({.bank = bank, .slots = {}});
  }
  return ablation;
}

Ablation averaged(const BankId& bank, const at::Tensor& weight) {
  return {.kind = Ablation::Kind::kMean,
          .what = bank_name(bank),
          .weight = weight,
          .slots = {{.bank = bank, .slots = {}}}};
}

Ablation swapped(const std::string& where, const BankSlots& slots) {
  if (slots.slots.size() != 2) {
    fail(ErrorCode::kConfig, "{}: expected two slots of a bank, as in {}:0,1, got \"{}\".", where,
         bank_name(slots.bank), slots_name(slots));
  }
  return {.kind = Ablation::Kind::kSwap, .what = slots_name(slots), .slots = {slots}};
}

std::string change_name(Ablation::Kind kind) {
  switch (kind) {
    case Ablation::Kind::kZero:
      return "zero";
    case Ablation::Kind::kMean:
      return "mean";
    case Ablation::Kind::kSwap:
      break;
  }
  return "swap";
}

std::vector<AblationCost> ablate(LanguageModel& model, const ScoredText& text,
                                 const std::vector<double>& row_nats,
                                 const std::vector<Ablation>& ablations,
                                 const AblationOptions& options) {
  const double bits = std::numbers::ln2 * static_cast<double>(text.num_bytes);
  const double before = bits_per_byte(row_nats, text);
  std::vector<AblationCost> costs;
  for (const auto& ablation : ablations) {
    if (options.on_progress) {
      options.on_progress(static_cast<int64_t>(costs.size()),
                          static_cast<int64_t>(ablations.size()));
    }
    const ChangedValues changed(model, ablation);
    std::vector<double> nats;
    std::vector<double> differences;
    for (size_t i = 0; i < text.rows.size(); ++i) {
      nats.push_back(nats_of(model, text.rows[i], {.max_loops = options.max_loops}));
      differences.push_back(nats.back() - row_nats[i]);
    }
    AblationCost cost{.kind = ablation.kind, .what = ablation.what};
    cost.bpb = bits_per_byte(nats, text);
    cost.cost = cost.bpb - before;
    if (differences.size() > 1) {  // of their sum, as if the rows were drawn one by one
      const auto rows = static_cast<double>(differences.size());
      cost.standard_error = rows * standard_error_of(differences) / bits;
    }
    costs.push_back(std::move(cost));
  }
  return costs;
}

}  // namespace loopbank
