#include "loopbank/train/batch_step.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "loopbank/train/gradient_buckets.h"
#include "loopbank/train/optimizer.h"
#include "loopbank/train/queued_step.h"
#include "loopbank/train/sharded_adamw.h"

namespace loopbank {
namespace {

class StepAlone : public BatchStep {
 public:
  StepAlone(const LanguageModel& model, const RunConfig& config)
      : model_(model),
        rows_(rows_a_pass(config.training, /*ranks=*/1)),
        optimizer_(model.parameters(), config.optimizer) {}

  StepGradients gradients(const Batch& batch, const ForwardOptions& options,
                          bool wants_stop) override {
    StepGradients result{.loss = accumulate_gradients(model_, batch, rows_, options)};
    result.norm = gradient_norm(model_.parameters());
    result.should_stop = wants_stop;
    return result;
  }
  StepTaken take(const Batch& batch, const ForwardOptions& options, const StepRates& rates,
                 bool wants_stop) override {
    if (!can_queue_steps(model_.device())) {
      return BatchStep::take(batch, options, rates, wants_stop);
    }
    auto taken = queue_step(model_, optimizer_, batch, rows_, options, rates);
    taken.found.should_stop = wants_stop;
    return taken;
  }
  void apply(double learning_rate, double gradient_scale) override {
    optimizer_.step(learning_rate, gradient_scale);
  }
  void clear() override { clear_gradients(model_.parameters()); }
  [[nodiscard]] int64_t steps() const override { return optimizer_.steps(); }
  [[nodiscard]] NamedTensors moments() const override { return optimizer_.state(); }
  void restore(const NamedTensors& moments, int64_t steps) override {
    optimizer_.restore(moments, steps);
  }

 private:
  const LanguageModel& model_;
  int64_t rows_;
  AdamW optimizer_;
};

/// What a rank tells the others in a step, as a list of numbers.
struct Report {
  bool wants_stop = false;
  std::vector<bool> present;                // by parameter
  std::vector<std::vector<double>> passes;  // numbers of each (train_step.h)
  std::vector<double> squares;

  [[nodiscard]] std::vector<double> numbers() const {
    const auto width = passes.empty() ? size_t{0} : passes.front().size();
    std::vector<double> list = {wants_stop ? 1.0 : 0.0, static_cast<double>(passes.size()),
                                static_cast<double>(width)};
    list.insert(list.end(), present.begin(), present.end());
    for (const auto& of_pass : passes) {
      list.insert(list.end(), of_pass.begin(), of_pass.end());
    }
    list.insert(list.end(), squares.begin(), squares.end());
    return list;
  }

  Report(bool stop, std::vector<bool> has, std::vector<std::vector<double>> measured,
         std::vector<double> sums)
      : wants_stop(stop),
        present(std::move(has)),
        passes(std::move(measured)),
        squares(std::move(sums)) {}
  Report(const std::vector<double>& list, size_t num_parameters) : wants_stop(list.at(0) != 0.0) {
    auto next = list.begin() + 3;
    const auto take = [&](double count) {
      const auto begin = next;
      next += static_cast<std::ptrdiff_t>(count);
      return std::vector<double>(begin, next);
    };
    for (const auto one : take(static_cast<double>(num_parameters))) {
      present.push_back(one != 0.0);
    }
    for (double pass = 0; pass < list[1]; ++pass) {
      passes.push_back(take(list[2]));
    }
    squares.assign(next, list.end());
  }
};

class StepOverRanks : public BatchStep {
 public:
  StepOverRanks(const LanguageModel& model, const RunConfig& config, const Ranks& ranks)
      : model_(model),
        ranks_(ranks),
        passes_(passes_of(config.training, ranks.rank(), ranks.size())),
        buckets_(ranks, model.parameters()),
        optimizer_(ranks, model.parameters(), config.optimizer) {}

  StepGradients gradients(const Batch& batch, const ForwardOptions& options,
                          bool wants_stop) override {
    buckets_.begin_step();
    const auto numbers =
        accumulate_passes(model_, batch, passes_, options, [this] { buckets_.expect_last_pass(); });
    buckets_.finish();
    const Report own(wants_stop, buckets_.present(), rows_of(numbers),
                     optimizer_.squares(buckets_.buckets()));
    StepGradients result;
    present_.assign(buckets_.present().size(), false);
    std::vector<std::vector<double>> passes, squares;
    for (const auto& list : ranks_.gather(own.numbers())) {
      Report report(list, present_.size());
      result.should_stop = result.should_stop || report.wants_stop;
      std::move(report.passes.begin(), report.passes.end(), std::back_inserter(passes));
      squares.push_back(std::move(report.squares));
      for (size_t i = 0; i < present_.size(); ++i) {
        present_[i] = present_[i] || report.present[i];
      }
    }
    result.loss = mean_of_passes(passes);
    result.norm = optimizer_.norm(squares);
    return result;
  }
  void apply(double learning_rate, double gradient_scale) override {
    optimizer_.step(buckets_.buckets(), present_, learning_rate, gradient_scale);
  }
  void clear() override {}  // the buckets took the gradients
  [[nodiscard]] int64_t steps() const override { return optimizer_.steps(); }
  [[nodiscard]] NamedTensors moments() const override { return optimizer_.state(); }
  void restore(const NamedTensors& moments, int64_t steps) override {
    optimizer_.restore(moments, steps);
  }

 private:
  const LanguageModel& model_;
  Ranks ranks_;
  PassRange passes_;
  GradientBuckets buckets_;
  ShardedAdamW optimizer_;
  std::vector<bool> present_;  // on any rank
};

}  // namespace

StepTaken BatchStep::take(const Batch& batch, const ForwardOptions& options, const StepRates& rates,
                          bool wants_stop) {
  StepTaken taken{.found = gradients(batch, options, wants_stop)};
  const auto& found = taken.found;
  taken.finite = std::isfinite(found.loss.loss) && std::isfinite(found.norm);
  if (taken.finite) {
    apply(rates.learning_rate, clip_coefficient(found.norm, rates.clip_norm));
  }
  clear();
  return taken;
}

int64_t rows_a_pass(const TrainingConfig& training, int64_t ranks) {
  if (training.micro_batch > 0) {
    return training.micro_batch;
  }
  auto passes = std::min(ranks, training.batch);
  while (training.batch % passes != 0) {
    ++passes;
  }
  return training.batch / passes;
}

PassRange passes_of(const TrainingConfig& training, int64_t rank, int64_t ranks) {
  const auto rows = rows_a_pass(training, ranks);
  const auto all = training.batch / rows;
  const auto more = all % ranks;  // ranks with one more
  const auto begin = rank * (all / ranks) + std::min(rank, more);
  return {.rows = rows, .first = begin, .count = all / ranks + (rank < more ? 1 : 0), .of = all};
}

std::unique_ptr<BatchStep> make_batch_step(const LanguageModel& model, const RunConfig& config,
                                           const Ranks& ranks) {
  if (ranks.is_alone()) {
    return std::make_unique<StepAlone>(model, config);
  }
  return std::make_unique<StepOverRanks>(model, config, ranks);
}

}  // namespace loopbank
