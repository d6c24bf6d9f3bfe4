#include "loopbank/dissect/token_statistics.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

namespace loopbank {
namespace {

std::vector<double> to_doubles(const at::Tensor& values) {
  if (!values.defined()) {
    return {};
  }
  const auto list = values.contiguous();
  const auto* begin = list.data_ptr<double>();
  return {begin, begin + list.numel()};
}

}  // namespace

void TokenMoments::add(const at::Tensor& values) {
  const auto table = values.to(at::kCPU, at::kDouble).flatten(1);  // [K, n]
  const auto n = static_cast<double>(table.size(1));
  const auto mean = table.mean(1);                                            // [K]
  const auto squared_deviations = (table - mean.unsqueeze(1)).pow(2).sum(1);  // [K]
  if (!mean_.defined()) {
    tokens_ = n;
    mean_ = mean;
    squared_deviations_ = squared_deviations;
    return;
  }
  const auto all = tokens_ + n;
  const auto step = mean - mean_;
  squared_deviations_ += squared_deviations + step.pow(2) * (tokens_ * n / all);
  mean_ += step * (n / all);
  tokens_ = all;
}

std::vector<double> TokenMoments::mean() const {
  return to_doubles(mean_);
}

std::vector<double> TokenMoments::spread() const {
  return mean_.defined() ? to_doubles((squared_deviations_ / tokens_).sqrt())
                         : std::vector<double>{};
}

ClassMeans::ClassMeans(int64_t num_classes) : counts_(at::zeros({num_classes}, at::kLong)) {}

void ClassMeans::add(const at::Tensor& values, const at::Tensor& classes) {
  if (!sums_.defined()) {
    sums_ = at::zeros({values.size(0), counts_.size(0)}, at::kDouble);
  }
  counts_ += classes.bincount({}, counts_.size(0));
  sums_.index_add_(1, classes, values.to(at::kDouble));
}

int64_t ClassMeans::count(int64_t token_class) const {
  return counts_[token_class].item<int64_t>();
}

std::vector<double> ClassMeans::mean(int64_t token_class) const {
  return sums_.defined() ? to_doubles(sums_.select(1, token_class) / counts_[token_class])
                         : std::vector<double>{};
}

}  // namespace loopbank
