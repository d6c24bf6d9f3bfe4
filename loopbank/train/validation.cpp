#include "loopbank/train/validation.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

namespace loopbank {
namespace {

/// Sums of a quantity by layer over passes, weighted by rows.
class LayerMeans {
 public:
  /// @param values  [L] or one defined tensor a layer
  void add(const std::vector<at::Tensor>& values, double weight) {
    sums_.resize(std::max(sums_.size(), values.size()));
    for (size_t l = 0; l < values.size(); ++l) {
      if (values[l].defined()) {
        sums_[l] += weight * values[l].to(at::kDouble).mean().item<double>();
        any_ = true;
      }
    }
    weight_ += weight;
  }
  [[nodiscard]] std::vector<double> means() const {
    std::vector<double> result;
    for (const auto sum : sums_) {
      result.push_back(sum / weight_);
    }
    return any_ ? result : std::vector<double>{};
  }

 private:
  std::vector<double> sums_;
  double weight_ = 0.0;
  bool any_ = false;
};

double mean_over_layers(const std::vector<double>& values) {
  double sum = 0.0;
  for (const auto value : values) {
    sum += value;
  }
  return values.empty() ? 1.0 : sum / static_cast<double>(values.size());
}

}  // namespace

at::Tensor bytes_of_tokens(const Tokenizer& tokenizer) {
  auto lengths = at::empty({tokenizer.vocab_size()}, at::kLong);
  auto* values = lengths.data_ptr<int64_t>();
  const auto between = end_of_text_of(tokenizer);
  for (int64_t id = 0; id < lengths.numel(); ++id) {
    const auto token = static_cast<TokenId>(id);
    values[id] = token == between ? 0 : static_cast<int64_t>(tokenizer.token_bytes(token).size());
  }
  return lengths;
}

Validator::Validator(std::shared_ptr<const TokenSource> source, const Tokenizer& tokenizer,
                     const TrainingConfig& training)
    : rows_(std::move(source), training.sequence_length),
      rows_a_pass_(training.micro_batch > 0 ? training.micro_batch : training.batch),
      num_rows_(std::min(training.validation_rows, rows_.num_rows())) {
  const auto lengths = bytes_of_tokens(tokenizer);
  for (int64_t row = 0; row < num_rows_; ++row) {
    const auto targets = rows_.rows(row, 1).targets.view(-1);  // [T]
    num_bytes_ += lengths.index_select(0, targets).sum().item<int64_t>();
  }
}

double Validator::loss_at(const LanguageModel& model, ForwardOptions options) const {
  double sum = 0.0;
  for (int64_t first = 0; first < num_rows_; first += rows_a_pass_) {
    const auto count = std::min(rows_a_pass_, num_rows_ - first);
    const auto batch = rows_.rows(first, count);
    const auto out =
        model.loss(batch.tokens.to(model.device()), batch.targets.to(model.device()), options);
    sum += static_cast<double>(count) * out.cross_entropy.item<double>();
  }
  return sum / static_cast<double>(num_rows_);
}

ValidationMetrics Validator::validate(const LanguageModel& model, int64_t step,
                                      const ForwardOptions& options) const {
  const at::NoGradGuard no_grad;
  ValidationMetrics metrics{.step = step};
  LayerMeans loops, local_gates, global_gates;
  double sum = 0.0;
  for (int64_t first = 0; first < num_rows_; first += rows_a_pass_) {
    const auto count = std::min(rows_a_pass_, num_rows_ - first);
    const auto batch = rows_.rows(first, count);
    Recorder recorder;
    const auto out = model.loss(batch.tokens.to(model.device()), batch.targets.to(model.device()),
                                {.compute_dtype = options.compute_dtype,
                                 .recorder = model.config().has_memory() ? &recorder : nullptr});
    const auto weight = static_cast<double>(count);
    sum += weight * out.cross_entropy.item<double>();
    loops.add(out.expected_loops.unbind(0), weight);
    local_gates.add(recorder.local_gate, weight);
    global_gates.add(recorder.global_gate, weight);
  }
  metrics.loss = sum / static_cast<double>(num_rows_);
  const auto tokens = static_cast<double>(num_rows_ * rows_.sequence_length());
  metrics.bpb = metrics.loss * tokens / (std::numbers::ln2 * static_cast<double>(num_bytes_));
  metrics.mean_loops = mean_over_layers(loops.means());
  metrics.local_gates = local_gates.means();
  metrics.global_gates = global_gates.means();
  const auto most_loops = model.config().most_loops();
  if (most_loops > 0) {
    metrics.loops_by_layer = loops.means();
    for (int64_t budget = 1; budget < most_loops; ++budget) {
      metrics.loss_by_loops[budget] =
          loss_at(model, {.compute_dtype = options.compute_dtype, .max_loops = budget});
    }
    metrics.loss_by_loops[most_loops] = metrics.loss;
  }
  return metrics;
}

}  // namespace loopbank
