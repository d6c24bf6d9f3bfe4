#include "loopbank/train/train_step.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>

namespace loopbank {
namespace {

/// Gradients of rows, summed within each pass.
class RowSums {
 public:
  explicit RowSums(const Parameters& parameters)
      : parameters_(parameters.all()), sums_(parameters_.size()) {}

  /// Takes what a pass left with the parameters.
  void take() {
    for (size_t i = 0; i < sums_.size(); ++i) {
      auto value = parameters_[i].value;
      auto& gradient = value.mutable_grad();
      if (gradient.defined() && gradient.is_sparse()) {
        const auto rows = gradient.detach().coalesce();
        sums_[i] = sums_[i].defined() ? sums_[i] + rows : rows;
        gradient.reset();
      }
    }
  }
  /// Gives the sums back.
  void give() {
    for (size_t i = 0; i < sums_.size(); ++i) {
      if (sums_[i].defined()) {
        auto value = parameters_[i].value;
        value.mutable_grad() = sums_[i];
      }
    }
  }

 private:
  const std::vector<Parameter>& parameters_;
  std::vector<at::Tensor> sums_;
};

}  // namespace

PassRange all_passes(const Batch& batch, int64_t rows_a_pass) {
  const auto passes = batch.tokens.size(0) / rows_a_pass;
  return {.rows = rows_a_pass, .first = 0, .count = passes, .of = passes};
}

at::Tensor accumulate_passes(const LanguageModel& model, const Batch& batch,
                             const PassRange& passes, const ForwardOptions& options,
                             const std::function<void()>& before_last) {
  const auto own = [&](const at::Tensor& all) {
    return all.narrow(0, passes.first * passes.rows, passes.count * passes.rows).to(model.device());
  };
  if (passes.count == 0) {
    return at::empty({0, 2 + model.config().num_hidden_layers}, at::kFloat);
  }
  const auto tokens = own(batch.tokens);    // [count * rows, T]
  const auto targets = own(batch.targets);  // [count * rows, T]
  RowSums row_sums(model.parameters());
  // They stay on the device: reading a value would make it wait in every pass.
  std::vector<at::Tensor> numbers;
  for (int64_t pass = 0; pass < passes.count; ++pass) {
    const auto rows = [&](const at::Tensor& all) {
      return all.narrow(0, pass * passes.rows, passes.rows);
    };
    const auto out = model.loss(rows(tokens), rows(targets), options);
    if (pass + 1 == passes.count && before_last) {
      before_last();
    }
    (passes.of == 1 ? out.total : out.total / passes.of).backward();
    const auto mean_loops = out.expected_loops.detach().mean({1, 2});  // [L]
    numbers.push_back(at::cat({at::stack({out.total.detach(), out.ponder.detach()}).to(at::kFloat),
                               mean_loops.to(at::kFloat)}));  // [2 + L]
    if (passes.count > 1) {
      row_sums.take();
    }
  }
  row_sums.give();
  return at::stack(numbers);  // [count, 2 + L]
}

std::vector<std::vector<double>> rows_of(const at::Tensor& values) {
  const auto on_cpu = values.to(at::kCPU, at::kDouble).contiguous();
  std::vector<std::vector<double>> rows;
  for (int64_t i = 0; i < on_cpu.size(0); ++i) {
    const auto* const first = on_cpu.data_ptr<double>() + i * on_cpu.size(1);
    rows.emplace_back(first, first + on_cpu.size(1));
  }
  return rows;
}

BatchLoss mean_of_passes(const std::vector<std::vector<double>>& numbers) {
  std::vector<float> sums;
  for (const auto& of_pass : numbers) {
    if (sums.empty()) {
      sums.assign(of_pass.begin(), of_pass.end());
      continue;
    }
    for (size_t i = 0; i < sums.size(); ++i) {
      sums[i] += static_cast<float>(of_pass[i]);
    }
  }
  const auto count = static_cast<double>(numbers.size());
  BatchLoss result{.loss = static_cast<double>(sums[0]) / count,
                   .ponder = static_cast<double>(sums[1]) / count};
  for (size_t l = 2; l < sums.size(); ++l) {
    result.loops_by_layer.push_back(static_cast<double>(sums[l]) / count);
  }
  return result;
}

BatchLoss accumulate_gradients(const LanguageModel& model, const Batch& batch, int64_t rows_a_pass,
                               const ForwardOptions& options) {
  return mean_of_passes(
      rows_of(accumulate_passes(model, batch, all_passes(batch, rows_a_pass), options)));
}

}  // namespace loopbank
