#include "elementwise_fused_check.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include "gradient_check.h"
#include "loopbank/ops/kernels.h"

namespace loopbank::testing {
namespace {

using ops::Kernels;
using ops::KernelsScope;

/// Results, then the gradients of the inputs.
struct Run {
  std::vector<at::Tensor> results;
  std::vector<at::Tensor> gradients;
};

/// The inputs as leaves, with the gaps between elements that they have.
std::vector<at::Tensor> leaves_of(const std::vector<at::Tensor>& inputs, bool exact) {
  std::vector<at::Tensor> leaves;
  for (const auto& input : inputs) {
    const auto leaf = exact ? input.detach().to(at::kDouble) : input.detach();
    leaves.push_back(leaf.requires_grad_(true));
  }
  return leaves;
}

Run run_once(const TensorsFunction& function, const std::vector<at::Tensor>& inputs,
             const std::vector<at::ScalarType>& result_dtypes, bool exact) {
  const auto leaves = leaves_of(inputs, exact);
  Run run{.results = function(leaves), .gradients = {}};
  RandomTensors random;
  at::Tensor loss;
  for (size_t i = 0; i < run.results.size(); ++i) {
    const auto& result = run.results[i];
    // The same weights in every run: rounded to what the fused result can hand back.
    const auto weights = random.normal(result.sizes(), result_dtypes[i]);
    const auto part = (result * weights.to(result.scalar_type())).to(at::kDouble).sum();
    loss = loss.defined() ? loss + part : part;
  }
  loss.backward();
  for (const auto& leaf : leaves) {
    run.gradients.push_back(leaf.grad());
  }
  return run;
}

void expect_same(const Run& fused, const Run& expected, const ops::Tolerance& tolerance,
                 double factor) {
  for (size_t i = 0; i < fused.results.size(); ++i) {
    const auto& result = fused.results[i];
    EXPECT_TRUE(
        is_close(result, expected.results[i].detach(), factor * tolerance.of(result.scalar_type())))
        << "result " << i;
  }
  for (size_t i = 0; i < fused.gradients.size(); ++i) {
    const auto& gradient = fused.gradients[i];
    ASSERT_TRUE(gradient.defined()) << "no gradient reaches input " << i;
    EXPECT_TRUE(
        is_close(gradient, expected.gradients[i], factor * tolerance.of(gradient.scalar_type())))
        << "gradient of input " << i;
  }
}

}  // namespace

void expect_fused_is_reference(const TensorsFunction& function,
                               const std::vector<at::Tensor>& inputs,
                               const ops::Tolerance& tolerance) {
  const int threads_before = at::get_num_threads();
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    std::vector<at::ScalarType> result_dtypes;
    for (const auto& result : function(inputs)) {
      result_dtypes.push_back(result.scalar_type());
    }
    const auto fused = run_once(function, inputs, result_dtypes, /*exact=*/false);
    expect_same(fused, run_once(function, inputs, result_dtypes, /*exact=*/true), tolerance, 1.0);
    const KernelsScope reference(Kernels::kReference);
    expect_same(fused, run_once(function, inputs, result_dtypes, /*exact=*/false), tolerance, 2.0);
  }
  at::set_num_threads(threads_before);
}

}  // namespace loopbank::testing
