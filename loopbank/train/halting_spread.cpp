#include "loopbank/train/halting_spread.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace loopbank {
namespace {

constexpr size_t kFigures = 4;  // least and largest n, sum, sum of squares

double end_of_bucket(int64_t bucket, int64_t loops) {
  return 1.0 + static_cast<double>((bucket + 1) * (loops - 1)) / static_cast<double>(kLoopBuckets);
}

/// The bucket of n; rounding may leave it a little outside [1, N].
size_t bucket_of(double n, int64_t loops) {
  const double share = (n - 1.0) / static_cast<double>(loops - 1);
  const auto bucket =
      static_cast<int64_t>(std::ceil(share * static_cast<double>(kLoopBuckets))) - 1;
  return static_cast<size_t>(std::clamp<int64_t>(bucket, 0, kLoopBuckets - 1));
}

}  // namespace

HaltingSpread::HaltingSpread(const ModelConfig& config) {
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    const auto loops = config.loops(layer);
    if (loops > 1) {
      layers_.push_back({.layer = layer,
                         .loops = loops,
                         .tokens = std::vector<double>(static_cast<size_t>(kLoopBuckets)),
                         .stops = std::vector<double>(static_cast<size_t>(loops))});
      width_ += kFigures + layers_.back().tokens.size() + layers_.back().stops.size();
    }
  }
}

std::vector<double> HaltingSpread::measure(const at::Tensor& expected_loops,
                                           const Recorder& recorder) const {
  std::vector<double> numbers;
  numbers.reserve(width_);
  for (const auto& looped : layers_) {
    const auto n = expected_loops.select(0, looped.layer).to(at::kCPU, at::kFloat).contiguous();
    const auto* values = n.data_ptr<float>();
    const std::span<const float> of_tokens(values, static_cast<size_t>(n.numel()));
    const auto [least, largest] = std::minmax_element(of_tokens.begin(), of_tokens.end());
    double sum = 0.0;
    double sum_of_squares = 0.0;
    std::vector<double> tokens(looped.tokens.size());
    for (const double value : of_tokens) {
      sum += value;
      sum_of_squares += value * value;
      tokens[std::isfinite(value) ? bucket_of(value, looped.loops) : 0] += 1.0;
    }
    numbers.insert(numbers.end(), {*least, *largest, sum, sum_of_squares});
    numbers.insert(numbers.end(), tokens.begin(), tokens.end());
    const auto stops = recorder.halting[static_cast<size_t>(looped.layer)]
                           .to(at::kCPU, at::kDouble)
                           .sum({1, 2})
                           .contiguous();  // [N]
    numbers.insert(numbers.end(), stops.data_ptr<double>(),
                   stops.data_ptr<double>() + looped.loops);
  }
  return numbers;
}

void HaltingSpread::add(std::span<const double> numbers) {
  size_t at = 0;
  for (auto& looped : layers_) {
    looped.low = any_ ? std::min(looped.low, numbers[at]) : numbers[at];
    looped.high = any_ ? std::max(looped.high, numbers[at + 1]) : numbers[at + 1];
    looped.sum += numbers[at + 2];
    looped.sum_of_squares += numbers[at + 3];
    at += kFigures;
    for (auto* counts : {&looped.tokens, &looped.stops}) {
      for (auto& count : *counts) {
        count += numbers[at++];
      }
    }
  }
  any_ = true;
}

std::vector<EventHistogram> HaltingSpread::histograms() const {
  std::vector<EventHistogram> all;
  for (const auto& looped : any_ ? layers_ : std::vector<LoopedLayer>()) {
    EventHistogram loops{.tag = fmt::format("halting_expected_loops/layer_{}", looped.layer),
                         .low = looped.low,
                         .high = looped.high,
                         .sum = looped.sum,
                         .sum_of_squares = looped.sum_of_squares,
                         .buckets = looped.tokens};
    for (int64_t bucket = 0; bucket < kLoopBuckets; ++bucket) {
      loops.limits.push_back(end_of_bucket(bucket, looped.loops));
      loops.count += loops.buckets[static_cast<size_t>(bucket)];
    }
    EventHistogram stops{.tag = fmt::format("halting_stops/layer_{}", looped.layer),
                         .low = 0.5,
                         .high = static_cast<double>(looped.loops) + 0.5,
                         .buckets = looped.stops};
    for (int64_t t = 1; t <= looped.loops; ++t) {
      const double stopped = looped.stops[static_cast<size_t>(t - 1)];
      const auto loop = static_cast<double>(t);
      stops.limits.push_back(loop + 0.5);
      stops.count += stopped;
      stops.sum += stopped * loop;
      stops.sum_of_squares += stopped * loop * loop;
    }
    all.push_back(std::move(loops));
    all.push_back(std::move(stops));
  }
  return all;
}

}  // namespace loopbank
