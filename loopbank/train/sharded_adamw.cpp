#include "loopbank/train/sharded_adamw.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <utility>

namespace loopbank {
namespace {

/// The values of a part, flat.
at::Tensor values_of(const at::Tensor& parameter, const BucketPart& part) {
  return parameter.detach().view(-1).narrow(0, part.begin, part.count);
}

at::Tensor range_of(const at::Tensor& slice, const BucketPart& part) {
  return slice.narrow(0, part.offset, part.count);
}

/// Copies between parameters and a slice of a bucket, the threads sharing the parts.
template <typename Copy>
void for_each_part(const std::vector<BucketPart>& parts, const Copy& copy) {
  for_each_in_parallel(parts.size(), [&](size_t i) {
    const at::NoGradGuard no_grad;
    copy(parts[i]);
  });
}

}  // namespace

ShardedAdamW::ShardedAdamW(const Ranks& ranks, const Parameters& parameters,
                           const OptimizerConfig& config)
    : ranks_(ranks), parameters_(parameters.all()), groups_(parameters_, config) {}

void ShardedAdamW::open_slices(const std::vector<GradientBucket>& buckets) {
  if (!slices_.empty()) {
    return;
  }
  const std::map<std::string, at::Tensor> whole(waiting_.begin(), waiting_.end());
  std::vector<BucketLayout> layouts;
  for (const auto& bucket : buckets) {
    const auto& layout = bucket.layout;
    const auto zeros = [&] { return at::zeros({layout.slice}, bucket.values.options()); };
    layouts.push_back(layout);
    slices_.push_back(
        {layout, layout.parts_of(ranks_.rank(), kAdamwRangeValues), zeros(), zeros()});
    if (whole.empty()) {
      continue;
    }
    const auto& slice = slices_.back();
    for (const auto& part : slice.parts) {
      const auto& parameter = parameters_[part.parameter];
      range_of(slice.first_moment, part)
          .copy_(values_of(whole.at(first_moment_name(parameter)), part));
      range_of(slice.second_moment, part)
          .copy_(values_of(whole.at(second_moment_name(parameter)), part));
    }
  }
  waiting_.clear();
  blocks_ = block_places(layouts, parameters_.size(), kAdamwRangeValues);
}

std::vector<double> ShardedAdamW::squares(std::vector<GradientBucket>& buckets) {
  const at::NoGradGuard no_grad;
  open_slices(buckets);
  if (!buckets.front().room.is_cpu()) {
    std::vector<at::Tensor> slices;
    for (const auto& bucket : buckets) {
      slices.push_back(bucket.room[0]);
    }
    const auto norms = at::stack(at::_foreach_norm(slices)).to(at::kCPU, at::kDouble);
    return {norms.square().sum().item<double>()};
  }
  std::vector<double> sums;
  for (size_t b = 0; b < buckets.size(); ++b) {
    const auto& layout = slices_[b].layout;
    const auto first = sums.size();
    sums.resize(first + static_cast<size_t>(layout.slice / layout.block));
    const auto* const gradients = buckets[b].room.data_ptr<float>();
    const auto& parts = slices_[b].parts;
    for_each_in_parallel(parts.size(), [&](size_t i) {
      const auto& part = parts[i];
      for (int64_t begin = 0; begin < part.count; begin += layout.block) {
        const auto at = part.offset + begin;
        sums[first + static_cast<size_t>(at / layout.block)] = sum_of_squares(
            gradients + at, static_cast<size_t>(std::min(layout.block, part.count - begin)));
      }
    });
  }
  return sums;
}

double ShardedAdamW::norm(const std::vector<std::vector<double>>& squares_by_rank) const {
  if (!parameters_.front().value.is_cpu()) {
    return std::sqrt(
        std::accumulate(squares_by_rank.begin(), squares_by_rank.end(), 0.0,
                        [](double sum, const auto& of_rank) { return sum + of_rank.front(); }));
  }
  return norm_of_blocks(blocks_, squares_by_rank);
}

void ShardedAdamW::step_slice(const Slice& slice, const GradientBucket& bucket,
                              const std::vector<bool>& present,
                              const std::vector<AdamwCoefficients>& by_group) {
  const auto gradient = bucket.room[0];
  if (gradient.is_cpu()) {
    for_each_in_parallel(slice.parts.size(), [&](size_t i) {
      const auto& part = slice.parts[i];
      if (present[part.parameter]) {
        const auto at = [&](const at::Tensor& x) { return x.data_ptr<float>() + part.offset; };
        adamw_step({.value = parameters_[part.parameter].value.data_ptr<float>() + part.begin,
                    .gradient = at(gradient),
                    .first_moment = at(slice.first_moment),
                    .second_moment = at(slice.second_moment),
                    .count = static_cast<size_t>(part.count)},
                   by_group[groups_.of(part.parameter)]);
      }
    });
    return;
  }
  std::vector<AdamwLists> lists(by_group.size());
  for (const auto& part : slice.layout.parts_of(ranks_.rank(), slice.layout.slice)) {
    if (present[part.parameter]) {
      auto& of_group = lists[groups_.of(part.parameter)];
      of_group.values.push_back(values_of(parameters_[part.parameter].value, part));
      of_group.gradients.push_back(range_of(gradient, part));
      of_group.first_moments.push_back(range_of(slice.first_moment, part));
      of_group.second_moments.push_back(range_of(slice.second_moment, part));
    }
  }
  for (size_t g = 0; g < lists.size(); ++g) {
    adamw_step_in_lists(std::move(lists[g]), by_group[g]);
  }
}

void ShardedAdamW::step(std::vector<GradientBucket>& buckets, const std::vector<bool>& present,
                        double learning_rate, double gradient_scale) {
  const at::NoGradGuard no_grad;
  ++steps_;
  const auto by_group = groups_.coefficients(steps_, learning_rate, gradient_scale);
  std::vector<Exchange> exchanges;
  for (size_t b = 0; b < buckets.size(); ++b) {
    step_slice(slices_[b], buckets[b], present, by_group);
    // Row 0 held the gradients' sums, of which nothing is needed any more.
    const auto own = buckets[b].room[0];
    for_each_part(slices_[b].parts, [&](const BucketPart& part) {
      range_of(own, part).copy_(values_of(parameters_[part.parameter].value, part));
    });
    exchanges.push_back(ranks_.all_gather(own, buckets[b].values));
  }
  for (size_t b = 0; b < buckets.size(); ++b) {
    exchanges[b].wait();
    for (int64_t rank = 0; rank < ranks_.size(); ++rank) {
      if (rank != ranks_.rank()) {
        const auto slice = buckets[b].values[rank];
        for_each_part(
            slices_[b].layout.parts_of(rank, kAdamwRangeValues), [&](const BucketPart& part) {
              values_of(parameters_[part.parameter].value, part).copy_(range_of(slice, part));
            });
      }
    }
  }
}

NamedTensors ShardedAdamW::state() const {
  const at::NoGradGuard no_grad;
  NamedTensors whole;
  if (ranks_.is_first()) {
    const std::map<std::string, at::Tensor> waiting(waiting_.begin(), waiting_.end());
    for (const auto& parameter : parameters_) {
      for (const auto& name : {first_moment_name(parameter), second_moment_name(parameter)}) {
        const auto found = waiting.find(name);
        whole.emplace_back(name, found != waiting.end()
                                     ? found->second
                                     : at::zeros(parameter.value.sizes(), at::kFloat));
      }
    }
  }
  for (const auto& slice : slices_) {
    for (const size_t which : {0, 1}) {
      const auto& own = which == 0 ? slice.first_moment : slice.second_moment;
      const auto all = at::empty({ranks_.size(), slice.layout.slice}, own.options());
      ranks_.all_gather(own, all).wait();
      for (int64_t rank = 0; ranks_.is_first() && rank < ranks_.size(); ++rank) {
        for (const auto& part : slice.layout.parts_of(rank, slice.layout.slice)) {
          values_of(whole[2 * part.parameter + which].second, part)
              .copy_(range_of(all[rank], part));
        }
      }
    }
  }
  return whole;
}

void ShardedAdamW::restore(const NamedTensors& state, int64_t steps) {
  expect_moments(parameters_, state);
  waiting_ = state;
  slices_.clear();
  steps_ = steps;
}

}  // namespace loopbank
