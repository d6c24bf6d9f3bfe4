#include "loopbank/train/benchmark_ranks.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "loopbank/support/error.h"
#include "loopbank/support/rounding.h"
#include "loopbank/support/statistics.h"
#include "loopbank/support/stopwatch.h"
#include "loopbank/train/batch_step.h"
#include "loopbank/train/benchmark_steps.h"
#include "loopbank/train/bucket_layout.h"
#include "loopbank/train/optimizer.h"
#include "loopbank/train/train_step.h"

namespace loopbank {
namespace {

constexpr int64_t kWarmupRounds = 2;

/// The time that the slowest rank takes.
double seconds_of_slowest(const Ranks& ranks, const std::function<void()>& work) {
  ranks.wait_for_all();
  const Stopwatch watch;
  work();
  double slowest = 0.0;
  for (const auto& of_rank : ranks.gather(std::vector{watch.seconds()})) {
    slowest = std::max(slowest, of_rank.front());
  }
  return slowest;
}

/// One bucket of gradients and the room for what comes.
struct Bucket {
  at::Tensor from;  // [n, m]
  at::Tensor to;    // [n, m]
};

std::vector<Bucket> make_buckets(int64_t parameters, at::Device device, const Ranks& ranks) {
  const auto count = std::max(
      kFewestBuckets, divide_up(parameters * static_cast<int64_t>(sizeof(float)), kBucketBytes));
  const auto slice = divide_up(divide_up(parameters, count), ranks.size());
  std::vector<Bucket> buckets;
  for (int64_t i = 0; i < count; ++i) {
    const auto options = at::TensorOptions(at::kFloat).device(device);
    buckets.push_back(
        {at::ones({ranks.size(), slice}, options), at::zeros({ranks.size(), slice}, options)});
  }
  return buckets;
}

void sum_and_gather(const std::vector<Bucket>& buckets, const Ranks& ranks) {
  std::vector<Exchange> on_the_way;
  const auto wait = [&] {
    std::for_each(on_the_way.begin(), on_the_way.end(), [](auto& one) { one.wait(); });
    on_the_way.clear();
  };
  for (const auto& bucket : buckets) {
    on_the_way.push_back(ranks.sum_slices(bucket.from, bucket.to));
  }
  wait();
  for (const auto& bucket : buckets) {
    on_the_way.push_back(ranks.all_gather(bucket.to[0], bucket.from));
  }
  wait();
}

/// A model that trains over the ranks, and one beside it for what is measured alone.
class RankSteps {
 public:
  RankSteps(const RunConfig& config, at::Device device, const Ranks& ranks)
      : config_(config),
        ranks_(ranks),
        trained_(config.model, device),
        alone_(config.model, device),
        batch_(random_batch(config, device)),
        options_(config.training.forward_options()) {
    for (auto* model : {&trained_, &alone_}) {
      model->parameters().initialize(static_cast<uint64_t>(config.training.seed));
    }
    step_ = make_batch_step(trained_, config_, ranks_);
    optimizer_.emplace(alone_.parameters(), config_.optimizer);
    for (const auto& parameter : alone_.parameters().all()) {
      parameters_ += parameter.value.numel();
    }
    if (!ranks_.is_alone()) {
      buckets_ = make_buckets(parameters_, device, ranks_);
    }
  }

  [[nodiscard]] int64_t parameters() const { return parameters_; }

  void take_step() {
    (void)step_->take(
        batch_, options_,
        {.learning_rate = config_.schedule.initial_rate, .clip_norm = config_.optimizer.clip_norm},
        /*wants_stop=*/false);
  }
  void take_passes() {
    clear_gradients(alone_.parameters());
    const auto mine = passes_of(config_.training, ranks_.rank(), ranks_.size());
    // A GPU is done when a number has been read.
    (void)accumulate_passes(alone_, batch_, mine, options_).sum().item();
  }
  void take_optimizer() {
    const double norm = gradient_norm(alone_.parameters());
    optimizer_->step(config_.schedule.initial_rate,
                     clip_coefficient(norm, config_.optimizer.clip_norm));
  }
  void take_exchange() { sum_and_gather(buckets_, ranks_); }

 private:
  const RunConfig& config_;
  const Ranks& ranks_;
  LanguageModel trained_;
  LanguageModel alone_;
  Batch batch_;
  ForwardOptions options_;
  std::unique_ptr<BatchStep> step_;
  std::optional<AdamW> optimizer_;
  std::vector<Bucket> buckets_;
  int64_t parameters_ = 0;
};

}  // namespace

RankStepTimes measure_rank_steps(const RunConfig& config, at::Device device, const Ranks& ranks,
                                 int64_t rounds) {
  if (config.training.batch % ranks.size() != 0) {
    fail(ErrorCode::kConfig,
         "bench ranks: expected a batch that {} ranks share evenly, got {} sequences. Choose "
         "--set training.batch.",
         ranks.size(), config.training.batch);
  }
  RankSteps steps(config, device, ranks);
  std::vector<double> step, exchanging, waited, passes, optimizer, exchanges;
  for (int64_t round = -kWarmupRounds; round < rounds; ++round) {
    ExchangeTimes of_step;
    const double whole = seconds_of_slowest(ranks, [&] {
      (void)ranks.take_times();  // of what came before
      steps.take_step();
      of_step = ranks.take_times();
    });
    const double pass = seconds_of_slowest(ranks, [&] { steps.take_passes(); });
    const double apply = seconds_of_slowest(ranks, [&] { steps.take_optimizer(); });
    const double sent = seconds_of_slowest(ranks, [&] { steps.take_exchange(); });
    if (round >= 0) {
      step.push_back(whole);
      exchanging.push_back(of_step.exchanging);
      waited.push_back(of_step.waited);
      passes.push_back(pass);
      optimizer.push_back(apply);
      exchanges.push_back(sent);
    }
  }
  return {.step_seconds = median(step),
          .exchanging_seconds = median(exchanging),
          .waited_seconds = median(waited),
          .pass_seconds = median(passes),
          .optimizer_seconds = median(optimizer),
          .exchange_bytes = static_cast<double>(steps.parameters()) * sizeof(float),
          .exchange_seconds = ranks.is_alone() ? 0.0 : median(exchanges)};
}

}  // namespace loopbank
