#include "loopbank/train/benchmark_ranks.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <functional>
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

/// The median of the time that the slowest rank takes; the first call is not counted.
double seconds_of_slowest(const Ranks& ranks, int64_t steps, const std::function<void()>& work) {
  std::vector<double> seconds;
  for (int64_t step = 0; step <= steps; ++step) {
    ranks.wait_for_all();
    const Stopwatch watch;
    work();
    double slowest = 0.0;
    for (const auto& of_rank : ranks.gather(std::vector{watch.seconds()})) {
      slowest = std::max(slowest, of_rank.front());
    }
    if (step > 0) {
      seconds.push_back(slowest);
    }
  }
  return median(seconds);
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

void exchange(const std::vector<Bucket>& buckets, const Ranks& ranks) {
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

void expect_even_shares(const TrainingConfig& training, const Ranks& ranks) {
  if (training.batch % ranks.size() != 0) {
    fail(ErrorCode::kConfig,
         "bench ranks: expected a batch that {} ranks share evenly, got {} sequences. Choose "
         "--set training.batch.",
         ranks.size(), training.batch);
  }
}

}  // namespace

RankStepParts measure_step_parts(const RunConfig& config, at::Device device, const Ranks& ranks,
                                 int64_t steps) {
  expect_even_shares(config.training, ranks);
  const auto& training = config.training;
  LanguageModel model(config.model, device);
  model.parameters().initialize(static_cast<uint64_t>(training.seed));
  const auto& parameters = model.parameters();
  const auto batch = random_batch(config, device);
  const auto passes = passes_of(training, ranks.rank(), ranks.size());
  const auto options = training.forward_options();
  RankStepParts parts;
  parts.pass_seconds = seconds_of_slowest(ranks, steps, [&] {
    clear_gradients(parameters);
    (void)accumulate_passes(model, batch, passes, options).sum().item();  // a GPU is done
  });
  AdamW optimizer(parameters, config.optimizer);
  parts.optimizer_seconds = seconds_of_slowest(ranks, steps, [&] {
    optimizer.step(config.schedule.initial_rate,
                   clip_coefficient(gradient_norm(parameters), config.optimizer.clip_norm));
  });
  clear_gradients(parameters);
  int64_t count = 0;
  for (const auto& parameter : parameters.all()) {
    count += parameter.value.numel();
  }
  parts.exchange_bytes = static_cast<double>(count) * sizeof(float);
  if (!ranks.is_alone()) {
    const auto buckets = make_buckets(count, device, ranks);
    parts.exchange_seconds = seconds_of_slowest(ranks, steps, [&] { exchange(buckets, ranks); });
  }
  return parts;
}

RankStepTimes measure_steps(const RunConfig& config, at::Device device, const Ranks& ranks,
                            int64_t steps) {
  expect_even_shares(config.training, ranks);
  LanguageModel model(config.model, device);
  model.parameters().initialize(static_cast<uint64_t>(config.training.seed));
  const auto batch = random_batch(config, device);
  const auto options = config.training.forward_options();
  const auto step = make_batch_step(model, config, ranks);
  std::vector<double> exchanging, waited;
  RankStepTimes times;
  times.step_seconds = seconds_of_slowest(ranks, steps, [&] {
    (void)ranks.take_times();  // of the steps' own measurement
    const auto found = step->gradients(batch, options, /*wants_stop=*/false);
    step->apply(config.schedule.initial_rate,
                clip_coefficient(found.norm, config.optimizer.clip_norm));
    step->clear();
    const auto of_step = ranks.take_times();
    exchanging.push_back(of_step.exchanging);
    waited.push_back(of_step.waited);
  });
  times.exchanging_seconds = median(exchanging);
  times.waited_seconds = median(waited);
  return times;
}

}  // namespace loopbank
