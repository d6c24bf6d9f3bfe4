#include "loopbank/train/optimizer.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/train/adamw_groups.h"

namespace loopbank {
namespace {

// Work for a thread at a time: 1 MB of values, gradients and moments.
constexpr int64_t kRangeValues = kAdamwRangeValues;

/// Values next to each other, with their gradient.
struct Part {
  size_t tensor = 0;
  int64_t begin = 0;
  int64_t count = 0;
  const float* gradient = nullptr;  // null for zeros
};

/// The whole gradient in parts of at most kRangeValues.
void add_dense_parts(size_t tensor, const at::Tensor& gradient, std::vector<Part>& parts) {
  for (int64_t begin = 0; begin < gradient.numel(); begin += kRangeValues) {
    parts.push_back({tensor, begin, std::min(kRangeValues, gradient.numel() - begin),
                     gradient.data_ptr<float>() + begin});
  }
}

/// A part for each row that has a gradient.
void add_row_parts(size_t tensor, const at::Tensor& gradient, std::vector<Part>& parts) {
  const auto rows = gradient._indices();   // [1, n]
  const auto values = gradient._values();  // [n, D]
  const auto width = gradient.size(1);
  for (int64_t i = 0; i < rows.size(1); ++i) {
    parts.push_back(
        {tensor, rows.data_ptr<int64_t>()[i] * width, width, values.data_ptr<float>() + i * width});
  }
}

std::vector<Part> parts_of(const std::vector<at::Tensor>& gradients) {
  std::vector<Part> parts;
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i].defined()) {
      gradients[i].is_sparse() ? add_row_parts(i, gradients[i], parts)
                               : add_dense_parts(i, gradients[i], parts);
    }
  }
  return parts;
}

/// Zeros in memory that the system has not handed out yet: rows that no gradient ever reaches,
/// words that the data do not hold, take none.
at::Tensor untouched_zeros_like(const at::Tensor& x) {
  if (!x.is_cpu()) {
    return at::zeros_like(x);
  }
  auto* const data =
      std::calloc(static_cast<size_t>(std::max<int64_t>(1, x.numel())), sizeof(float));
  if (data == nullptr) {
    fail(ErrorCode::kDevice, "optimizer: expected room for {} moments, the system has none.",
         x.numel());
  }
  return at::from_blob(
      data, x.sizes(), [](void* zeros) { std::free(zeros); }, x.options().requires_grad(false));
}

/// By parameter; undefined where there is none.
std::vector<at::Tensor> gradients_of(const std::vector<Parameter>& parameters) {
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : parameters) {
    const auto& gradient = parameter.value.grad();
    gradients.push_back(!gradient.defined()    ? at::Tensor()
                        : gradient.is_sparse() ? gradient.detach().coalesce()
                                               : gradient.detach());
  }
  return gradients;
}

/// Whether the vector loops take it: fp32 on the CPU, dense or in rows.
bool is_plain(const at::Tensor& gradient) {
  return !gradient.defined() || (gradient.is_cpu() && gradient.scalar_type() == at::kFloat &&
                                 (gradient.is_sparse() || gradient.is_contiguous()));
}

}  // namespace

AdamW::AdamW(const Parameters& parameters, const OptimizerConfig& config)
    : parameters_(parameters.all()), groups_(parameters_, config) {
  for (const auto& parameter : parameters_) {
    first_moments_.push_back(untouched_zeros_like(parameter.value));
    second_moments_.push_back(untouched_zeros_like(parameter.value));
  }
  moved_rows_.resize(parameters_.size());
}

void AdamW::step(double learning_rate, double gradient_scale) {
  const at::NoGradGuard no_grad;
  ++steps_;
  const auto gradients = gradients_of(parameters_);
  if (std::all_of(gradients.begin(), gradients.end(), is_plain)) {
    step_in_ranges(gradients, learning_rate, gradient_scale);
  } else {
    step_in_lists(gradients, learning_rate, gradient_scale);
  }
}

void AdamW::step_in_ranges(const std::vector<at::Tensor>& gradients, double learning_rate,
                           double gradient_scale) {
  const auto by_group = groups_.coefficients(steps_, learning_rate, gradient_scale);
  auto parts = parts_of(gradients);
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i].defined() && gradients[i].is_sparse()) {
      const auto width = gradients[i].size(1);
      for (const auto row : rows_still_in_motion(i, gradients[i])) {
        parts.push_back({i, row * width, width, nullptr});
      }
    }
  }
  for_each_in_parallel(parts.size(), [&](size_t i) {
    const auto& part = parts[i];
    const auto at = [&](const at::Tensor& x) { return x.data_ptr<float>() + part.begin; };
    adamw_step({.value = at(parameters_[part.tensor].value),
                .gradient = part.gradient,
                .first_moment = at(first_moments_[part.tensor]),
                .second_moment = at(second_moments_[part.tensor]),
                .count = static_cast<size_t>(part.count)},
               by_group[groups_.of(part.tensor)]);
  });
}

std::vector<int64_t> AdamW::rows_still_in_motion(size_t i, const at::Tensor& gradient) {
  auto& moved = moved_rows_[i];
  if (moved.empty()) {
    // After a restore. Rows that were never reached are read, not written: they take no memory.
    const auto* const moments = second_moments_[i].data_ptr<float>();
    const auto width = second_moments_[i].size(1);
    for (int64_t row = 0; row < second_moments_[i].size(0); ++row) {
      const auto* const first = moments + row * width;
      moved.push_back(std::any_of(first, first + width, [](float x) { return x != 0.0F; }));
    }
  }
  std::vector<bool> has_gradient(moved.size());
  const auto with_gradient = gradient._indices();  // [1, n]
  for (int64_t k = 0; k < with_gradient.size(1); ++k) {
    const auto row = static_cast<size_t>(with_gradient.data_ptr<int64_t>()[k]);
    has_gradient[row] = true;
    moved[row] = true;
  }
  const bool decays = groups_.all()[groups_.of(i)].weight_decay != 0.0;
  std::vector<int64_t> rows;
  for (size_t row = 0; row < moved.size(); ++row) {
    if (!has_gradient[row] && (moved[row] || decays)) {
      rows.push_back(static_cast<int64_t>(row));
    }
  }
  return rows;
}

void AdamW::step_in_lists(const std::vector<at::Tensor>& gradients, double learning_rate,
                          double gradient_scale) {
  const auto by_group = groups_.coefficients(steps_, learning_rate, gradient_scale);
  for (size_t g = 0; g < groups_.all().size(); ++g) {
    AdamwLists lists;
    for (const auto i : groups_.all()[g].members) {
      if (gradients[i].defined()) {
        lists.values.push_back(parameters_[i].value.detach());
        lists.gradients.push_back(gradients[i].is_sparse() ? gradients[i].to_dense()
                                                           : gradients[i]);
        lists.first_moments.push_back(first_moments_[i]);
        lists.second_moments.push_back(second_moments_[i]);
      }
    }
    adamw_step_in_lists(std::move(lists), by_group[g]);
  }
}

NamedTensors AdamW::state() const {
  NamedTensors tensors;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    tensors.emplace_back(first_moment_name(parameters_[i]), first_moments_[i]);
    tensors.emplace_back(second_moment_name(parameters_[i]), second_moments_[i]);
  }
  return tensors;
}

void AdamW::restore(const NamedTensors& state, int64_t steps) {
  expect_moments(parameters_, state);
  const std::map<std::string, at::Tensor> stored(state.begin(), state.end());
  for (const auto& [name, tensor] : this->state()) {
    tensor.copy_(stored.at(name));
  }
  for (auto& moved : moved_rows_) {
    moved.clear();
  }
  steps_ = steps;
}

double gradient_norm(const Parameters& parameters) {
  const auto gradients = gradients_of(parameters.all());
  if (!std::all_of(gradients.begin(), gradients.end(), is_plain)) {
    std::vector<at::Tensor> defined;
    std::copy_if(gradients.begin(), gradients.end(), std::back_inserter(defined),
                 [](const at::Tensor& gradient) { return gradient.defined(); });
    std::transform(defined.begin(), defined.end(), defined.begin(), [](const at::Tensor& gradient) {
      return gradient.is_sparse() ? gradient._values() : gradient;
    });
    return at::linalg_vector_norm(at::stack(at::_foreach_norm(defined))).item<double>();
  }
  const auto parts = parts_of(gradients);
  std::vector<double> sums(parts.size());  // added in one order, whatever the threads
  for_each_in_parallel(parts.size(), [&](size_t i) {
    sums[i] = sum_of_squares(parts[i].gradient, static_cast<size_t>(parts[i].count));
  });
  return std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
}

double clip_coefficient(double norm, double clip_norm) {
  return clip_norm > 0.0 ? std::min(1.0, clip_norm / (norm + 1e-6)) : 1.0;
}

void clear_gradients(const Parameters& parameters) {
  for (const auto& parameter : parameters.all()) {
    auto value = parameter.value;
    value.mutable_grad().reset();
  }
}

}  // namespace loopbank
