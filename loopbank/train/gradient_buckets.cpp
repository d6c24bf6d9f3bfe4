#include "loopbank/train/gradient_buckets.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "loopbank/support/error.h"

namespace loopbank {

class GradientBuckets::Hook : public torch::autograd::FunctionPostHook {
 public:
  Hook(GradientBuckets& buckets, size_t parameter) : buckets_(buckets), parameter_(parameter) {}
  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list&) override {
    buckets_.gradient_came(parameter_);
    return outputs;
  }

 private:
  GradientBuckets& buckets_;
  size_t parameter_;
};

GradientBuckets::GradientBuckets(const Ranks& ranks, const Parameters& parameters)
    : ranks_(ranks), parameters_(parameters.all()) {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto node = torch::autograd::impl::grad_accumulator(parameters_[i].value);
    hooks_.push_back(node->add_post_hook(std::make_unique<Hook>(*this, i)));
    nodes_.push_back(node);
  }
  begin_step();
}

GradientBuckets::~GradientBuckets() {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    std::static_pointer_cast<torch::autograd::Node>(nodes_[i])->del_post_hook(hooks_[i]);
  }
}

void GradientBuckets::begin_step() {
  seen_.assign(parameters_.size(), 0);
  taken_.assign(parameters_.size(), false);
  present_.assign(parameters_.size(), false);
  order_.clear();
  next_ = 0;
  in_last_pass_ = false;
  for (auto& bucket : buckets_) {
    bucket.missing = static_cast<int64_t>(bucket.layout.members.size());
  }
}

void GradientBuckets::expect_last_pass() {
  in_last_pass_ = true;
}

void GradientBuckets::gradient_came(size_t parameter) {
  if (!in_last_pass_) {
    return;
  }
  ++seen_[parameter];
  if (buckets_.empty()) {
    order_.push_back(parameter);
    return;
  }
  // Rows of several passes are summed after the last (train_step.h).
  if (seen_[parameter] == expected_[parameter] &&
      !parameters_[parameter].value.grad().is_sparse()) {
    take(parameter);
    start_full_buckets();
  }
}

void GradientBuckets::make_layout() {
  expected_ = seen_;
  // In the order of the last part of each, those without a gradient at the end.
  std::vector<size_t> order;
  std::vector<bool> listed(parameters_.size());
  for (auto i = order_.rbegin(); i != order_.rend(); ++i) {
    if (!listed[*i]) {
      listed[*i] = true;
      order.push_back(*i);
    }
  }
  std::reverse(order.begin(), order.end());
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!listed[i]) {
      order.push_back(i);
    }
  }
  auto plan = nlohmann::json::array();
  for (const auto i : order) {
    const auto& gradient = parameters_[i].value.grad();
    plan.push_back({i, gradient.defined() && gradient.is_sparse() ? gradient.size(1) : 0});
  }
  // Rank 0 has a pass in every step.
  plan = nlohmann::json::parse(ranks_.gather(ranks_.is_first() ? plan.dump() : "").front());
  std::vector<BucketMember> members;
  for (const auto& one : plan) {
    const auto i = one[0].get<size_t>();
    members.push_back({i, parameters_.at(i).value.numel(), one[1].get<int64_t>()});
  }
  bucket_of_.resize(parameters_.size());
  places_.resize(parameters_.size());
  for (auto& layout : lay_out_buckets(members, ranks_.size())) {
    const auto room = [&] {
      return at::zeros({ranks_.size(), layout.slice},
                       parameters_.front().value.options().requires_grad(false));
    };
    buckets_.push_back({.layout = layout,
                        .values = room(),
                        .room = room(),
                        .exchange = {},
                        .missing = static_cast<int64_t>(layout.members.size())});
    for (const auto& member : layout.members) {
      const auto& value = parameters_[member.parameter].value;
      bucket_of_[member.parameter] = buckets_.size() - 1;
      places_[member.parameter] = buckets_.back()
                                      .values.view(-1)
                                      .narrow(0, member.offset, member.count)
                                      .view(value.sizes());
    }
  }
}

void GradientBuckets::take(size_t parameter) {
  const at::NoGradGuard no_grad;
  auto value = parameters_[parameter].value;
  auto& gradient = value.mutable_grad();
  auto& place = places_[parameter];
  if (!gradient.defined()) {
    place.zero_();
  } else if (gradient.is_sparse()) {
    const auto rows = gradient.detach().coalesce();
    place.zero_();
    place.index_copy_(0, rows._indices()[0], rows._values());
  } else {
    place.copy_(gradient);
  }
  present_[parameter] = gradient.defined();
  gradient.reset();
  taken_[parameter] = true;
  --buckets_[bucket_of_[parameter]].missing;
}

void GradientBuckets::start_full_buckets() {
  for (; next_ < buckets_.size() && buckets_[next_].missing == 0; ++next_) {
    auto& bucket = buckets_[next_];
    bucket.exchange = ranks_.sum_slices(bucket.values, bucket.room);
  }
}

void GradientBuckets::finish() {
  in_last_pass_ = false;
  if (buckets_.empty()) {
    make_layout();
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!taken_[i]) {
      take(i);
    } else if (parameters_[i].value.grad().defined()) {
      fail(ErrorCode::kShape,
           "training: expected the gradient of {} in {} parts, as in the first step, got more. "
           "Train this model on one rank.",
           parameters_[i].name, expected_[i]);
    }
  }
  start_full_buckets();
  for (auto& bucket : buckets_) {
    bucket.exchange.wait();
  }
}

}  // namespace loopbank
