#include "kernel_check.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "../ops/gradient_check.h"
#include "device_emulator.h"
#include "loopbank/ops/kernels.h"

namespace loopbank::testing {
namespace {

struct KernelRun {
  std::vector<at::Tensor> results;  // then the gradients
  size_t num_results = 0;
};

/// Results, and gradients of a sum of them weighted with fixed random numbers.
KernelRun run_with_gradients(const TensorsFunction& function, const std::vector<at::Tensor>& inputs,
                             const std::vector<at::ScalarType>& weight_types, bool exact) {
  std::vector<at::Tensor> leaves;
  for (const auto& input : inputs) {
    const bool widens = exact && input.is_floating_point();
    const auto leaf = widens ? input.detach().to(at::kDouble) : input.detach();
    leaves.push_back(leaf.requires_grad_(input.is_floating_point()));
  }
  KernelRun run{.results = function(leaves), .num_results = 0};
  run.num_results = run.results.size();
  RandomTensors random;
  at::Tensor loss;
  for (size_t i = 0; i < run.num_results; ++i) {
    auto& result = run.results[i];
    const auto type = weight_types.empty() ? result.scalar_type() : weight_types[i];
    const auto weights = random.normal(result.sizes(), type);
    const auto part = (result * weights.to(result.scalar_type())).to(at::kDouble).sum();
    loss = loss.defined() ? loss + part : part;
    result = result.detach();
  }
  loss.backward();
  for (const auto& leaf : leaves) {
    if (leaf.requires_grad()) {
      run.results.push_back(leaf.grad());
    }
  }
  return run;
}

std::vector<at::ScalarType> types_of(const KernelRun& run) {
  std::vector<at::ScalarType> types;
  for (size_t i = 0; i < run.num_results; ++i) {
    types.push_back(run.results[i].scalar_type());
  }
  return types;
}

void expect_same_bits(const KernelRun& run, const KernelRun& expected, const char* order) {
  for (size_t i = 0; i < run.results.size(); ++i) {
    EXPECT_TRUE(run.results[i].defined() == expected.results[i].defined() &&
                (!run.results[i].defined() || run.results[i].equal(expected.results[i])))
        << (i < run.num_results ? "result " : "gradient, counted with the results: ") << i
        << " with threads " << order;
  }
}

}  // namespace

void expect_kernels_are_definition(const KernelCase& op, const std::vector<at::Tensor>& inputs) {
  KernelRun exact;
  for (const int most_threads : {1024, 96, 32}) {
    const EmulatorScope forward({.order = ThreadOrder::kForward, .most_threads = most_threads});
    const auto launches = emulated_launches();
    const auto run = run_with_gradients(op.fused, inputs, {}, /*exact=*/false);
    EXPECT_GT(emulated_launches(), launches) << "no kernel has run";
    if (exact.results.empty()) {
      const ops::KernelsScope reference(ops::Kernels::kReference);
      exact = run_with_gradients(op.definition, inputs, types_of(run), /*exact=*/true);
    }
    ASSERT_EQ(run.results.size(), exact.results.size());
    for (size_t i = 0; i < run.results.size(); ++i) {
      const auto& actual = run.results[i];
      ASSERT_EQ(actual.defined(), exact.results[i].defined()) << i;
      if (actual.defined()) {
        EXPECT_TRUE(is_close(actual, exact.results[i], op.tolerance.of(actual.scalar_type())))
            << (i < run.num_results ? "result " : "gradient, counted with the results: ") << i
            << ", blocks of at most " << most_threads << " threads";
      }
    }
    if (most_threads == 96) {
      const EmulatorScope backward({.order = ThreadOrder::kBackward, .most_threads = most_threads});
      expect_same_bits(run_with_gradients(op.fused, inputs, {}, /*exact=*/false), run, "backward");
      const EmulatorScope shuffled({.order = ThreadOrder::kShuffled, .most_threads = most_threads});
      expect_same_bits(run_with_gradients(op.fused, inputs, {}, /*exact=*/false), run, "shuffled");
    }
  }
}

}  // namespace loopbank::testing
