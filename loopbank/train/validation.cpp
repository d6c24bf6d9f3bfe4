#include "loopbank/train/validation.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include "loopbank/model/loop_scale.h"
#include "loopbank/train/batch_step.h"
#include "loopbank/train/halting_spread.h"
#include "loopbank/train/part_measures.h"

namespace loopbank {
namespace {

/// Numbers of a pass in one list, for other ranks: written and read in the same order.
class NumberReader {
 public:
  explicit NumberReader(const std::vector<double>& numbers) : numbers_(numbers) {}
  double next() { return numbers_.at(at_++); }
  /// Those from the next one on.
  [[nodiscard]] std::span<const double> rest() const {
    return std::span<const double>(numbers_).subspan(at_);
  }

 private:
  const std::vector<double>& numbers_;
  size_t at_ = 0;
};

/// Numbers of a pass as they come, read back from the model's device all at once.
class NumberWriter {
 public:
  void add(double number) { numbers_.push_back(number); }
  /// The mean of a tensor.
  void add_mean(const at::Tensor& values) {
    places_.push_back(numbers_.size());
    means_.push_back(values.to(at::kDouble).mean());
    numbers_.push_back(0.0);
  }
  /// Two numbers a layer: whether there is one, and its mean.
  void add_means(const std::vector<at::Tensor>& values, size_t layers) {
    for (size_t l = 0; l < layers; ++l) {
      const bool has = l < values.size() && values[l].defined();
      add(has ? 1.0 : 0.0);
      has ? add_mean(values[l]) : add(0.0);
    }
  }
  /// All numbers in the order in which they were added.
  [[nodiscard]] std::vector<double> read() const {
    auto numbers = numbers_;
    const auto means = at::stack(means_).cpu();
    for (size_t i = 0; i < places_.size(); ++i) {
      numbers[places_[i]] = means.data_ptr<double>()[i];
    }
    return numbers;
  }

 private:
  std::vector<double> numbers_;
  std::vector<at::Tensor> means_;  // scalars
  std::vector<size_t> places_;     // of the means among the numbers
};

/// Sums of a quantity by layer over passes, weighted by rows.
class LayerMeans {
 public:
  explicit LayerMeans(size_t layers) : sums_(layers) {}
  /// What add_means wrote.
  void add(NumberReader& numbers, double weight) {
    for (auto& sum : sums_) {
      const bool has = numbers.next() != 0.0;
      const double mean = numbers.next();
      if (has) {
        sum += weight * mean;
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

/// What differentiates in the number type, with the ponder weight and the memory of a training step.
ForwardOptions in_training(const ForwardOptions& options) {
  return {.compute_dtype = options.compute_dtype,
          .recompute = options.recompute,
          .ponder_weight = options.ponder_weight};
}

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
  for (const auto* frame : {&tokenizer.text_prefix(), &tokenizer.text_suffix()}) {
    for (const auto id : *frame) {
      values[id] = 0;  // no text either
    }
  }
  return lengths;
}

Validator::Validator(std::shared_ptr<const TokenSource> source, const Tokenizer& tokenizer,
                     const TrainingConfig& training, const Ranks& ranks)
    : ranks_(ranks),
      rows_(std::move(source), training.sequence_length),
      rows_a_pass_(rows_a_pass(training, ranks.size())),
      spreads_halting_(training.tensorboard),
      measures_parts_(training.alarm_validations > 0),
      num_rows_(std::min(training.validation_rows, rows_.num_rows())) {
  const auto lengths = bytes_of_tokens(tokenizer);
  for (int64_t row = 0; row < num_rows_; ++row) {
    const auto targets = rows_.rows(row, 1).targets.view(-1);  // [T]
    num_bytes_ += lengths.index_select(0, targets).sum().item<int64_t>();
  }
}

std::vector<at::Tensor> Validator::measure_routers(const LanguageModel& model,
                                                   const ForwardOptions& options) const {
  const auto batch = rows_.rows(0, std::min(kRouterRows, num_rows_));
  return router_gradients(model, batch.tokens.to(model.device()), batch.targets.to(model.device()),
                          in_training(options));
}

std::vector<double> Validator::score(const LanguageModel& model, int64_t first,
                                     const ForwardOptions& options) const {
  const auto count = std::min(rows_a_pass_, num_rows_ - first);
  const auto batch = rows_.rows(first, count);
  const auto tokens = batch.tokens.to(model.device());
  const auto targets = batch.targets.to(model.device());
  const auto& config = model.config();
  const bool records = config.most_loops() > 0;
  ReadFocus focus(config.num_hidden_layers);
  Recorder recorder;
  if (measures_parts_) {
    recorder.on_read = [&focus](const MemoryRead& read) { focus.take(read); };
  }
  const auto out = model.loss(
      tokens, targets,
      {.compute_dtype = options.compute_dtype, .recorder = records ? &recorder : nullptr});
  const auto layers = static_cast<size_t>(config.num_hidden_layers);
  NumberWriter numbers;
  numbers.add(static_cast<double>(count));
  numbers.add_mean(out.cross_entropy);
  numbers.add_means(out.expected_loops.unbind(0), layers);
  numbers.add_means(recorder.local_gate, layers);
  numbers.add_means(recorder.global_gate, layers);
  numbers.add_means(focus.local(), layers);
  numbers.add_means(focus.global(), layers);
  using Values = std::vector<at::Tensor>;
  numbers.add_means(measures_parts_ ? loop_changes(config, recorder.state_change) : Values(),
                    layers);
  numbers.add_means(measures_parts_ && first == 0 ? measure_routers(model, options) : Values(),
                    layers);
  for (int64_t budget = 1; budget < config.most_loops(); ++budget) {
    const auto limited =
        model.loss(tokens, targets, {.compute_dtype = options.compute_dtype, .max_loops = budget});
    numbers.add_mean(limited.cross_entropy);
  }
  if (measures_parts_ && config.has_memory()) {
    const auto without = model.loss(
        tokens, targets, {.compute_dtype = options.compute_dtype, .reads_memory = false});
    numbers.add_mean(without.cross_entropy);
  }
  auto read = numbers.read();
  if (spreads_halting_) {
    const auto spread = HaltingSpread(model.config()).measure(out.expected_loops, recorder);
    read.insert(read.end(), spread.begin(), spread.end());
  }
  return read;
}

ValidationMetrics Validator::validate(const LanguageModel& model, int64_t step,
                                      const ForwardOptions& options) const {
  const at::NoGradGuard no_grad;
  // Pass k is rank k mod n's.
  const auto passes = (num_rows_ + rows_a_pass_ - 1) / rows_a_pass_;
  std::vector<double> own;
  for (int64_t pass = ranks_.rank(); pass < passes; pass += ranks_.size()) {
    const auto numbers = score(model, pass * rows_a_pass_, options);
    own.insert(own.end(), numbers.begin(), numbers.end());
  }
  const auto all = ranks_.gather(own);
  const auto width =
      all.front().size() / static_cast<size_t>((passes + ranks_.size() - 1) / ranks_.size());

  ValidationMetrics metrics{.step = step};
  const auto layers = static_cast<size_t>(model.config().num_hidden_layers);
  const auto most_loops = model.config().most_loops();
  LayerMeans loops(layers), local_gates(layers), global_gates(layers);
  LayerMeans local_focus(layers), global_focus(layers), changes(layers), routers(layers);
  HaltingSpread halting(model.config());
  double sum = 0.0;
  double sum_without_memory = 0.0;
  std::map<int64_t, double> sum_by_loops;
  for (int64_t pass = 0; pass < passes; ++pass) {
    const auto& of_rank = all[static_cast<size_t>(pass % ranks_.size())];
    const auto begin = of_rank.begin() + static_cast<std::ptrdiff_t>(
                                             width * static_cast<size_t>(pass / ranks_.size()));
    const std::vector<double> of_pass(begin, begin + static_cast<std::ptrdiff_t>(width));
    NumberReader numbers(of_pass);
    const double weight = numbers.next();
    sum += weight * numbers.next();
    loops.add(numbers, weight);
    local_gates.add(numbers, weight);
    global_gates.add(numbers, weight);
    local_focus.add(numbers, weight);
    global_focus.add(numbers, weight);
    changes.add(numbers, weight);
    routers.add(numbers, pass == 0 ? 1.0 : 0.0);
    for (int64_t budget = 1; budget < most_loops; ++budget) {
      sum_by_loops[budget] += weight * numbers.next();
    }
    if (measures_parts_ && model.config().has_memory()) {
      sum_without_memory += weight * numbers.next();
    }
    if (spreads_halting_) {
      halting.add(numbers.rest());
    }
  }
  metrics.loss = sum / static_cast<double>(num_rows_);
  const auto tokens = static_cast<double>(num_rows_ * rows_.sequence_length());
  metrics.bpb = metrics.loss * tokens / (std::numbers::ln2 * static_cast<double>(num_bytes_));
  metrics.mean_loops = mean_over_layers(loops.means());
  metrics.local_gates = local_gates.means();
  metrics.global_gates = global_gates.means();
  metrics.parts = {.loop_changes = changes.means(),
                   .local_focus = local_focus.means(),
                   .global_focus = global_focus.means(),
                   .router_gradients = routers.means()};
  if (measures_parts_ && model.config().has_memory()) {
    metrics.loss_without_memory = sum_without_memory / static_cast<double>(num_rows_);
  }
  if (most_loops > 0) {
    metrics.loop_scales = loop_scales(model);
  }
  metrics.halting = halting.histograms();
  if (most_loops > 0) {
    metrics.loops_by_layer = loops.means();
    for (const auto& [budget, of_budget] : sum_by_loops) {
      metrics.loss_by_loops[budget] = of_budget / static_cast<double>(num_rows_);
    }
    metrics.loss_by_loops[most_loops] = metrics.loss;
  }
  return metrics;
}

}  // namespace loopbank
