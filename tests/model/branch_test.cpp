/// The equations of a block as they are written, against plain tensors: what is fused is only how
/// they are computed.

#include "loopbank/model/branch.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/function.h>

#include <functional>
#include <string>
#include <vector>

#include "loopbank/model/block.h"
#include "loopbank/model/gate.h"
#include "loopbank/ops/check.h"
#include "loopbank/support/random.h"

namespace loopbank {
namespace {

constexpr int64_t kRows = 300;  // enough for the fused versions

/// What is fused against its definition, relative to the largest value: some ops' roundings.
constexpr ops::Tolerance kBranchTolerance{.fp32 = 2e-5, .bf16 = 0.04};

/// Values of mean 0 and variance 1, the same in every run.
at::Tensor values(at::IntArrayRef shape, uint64_t seed) {
  RandomStream random(seed);
  auto result = at::zeros(shape);
  auto* data = result.data_ptr<float>();
  for (int64_t i = 0; i < result.numel(); ++i) {
    data[i] = static_cast<float>(3.4 * random.uniform() - 1.7);
  }
  return result;
}

ModelConfig block_config() {
  ModelConfig config;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.max_position_embeddings = kRows;
  return config;
}

/// The modules of a block by themselves, with values that matter, in one pass.
class BranchCase {
 public:
  explicit BranchCase(at::ScalarType compute)
      : norm(parameters, "norm", 32, 1e-5),
        attention(parameters, "attention", block_config()),
        feed_forward(parameters, "feed_forward", block_config()),
        gate(parameters, "gate", block_config()),
        other_gate(parameters, "other_gate", block_config()),
        pass_({.compute_dtype = compute}),
        weights_(compute) {
    pass_.angles = ops::rotary_table(0, kRows, 8, 10000.0, at::kCPU);
    const at::NoGradGuard no_grad;
    uint64_t seed = 100;
    for (const auto& parameter : parameters.all()) {
      auto value = parameter.value;
      value.copy_(values(value.sizes(), ++seed) * 0.2 + (value.dim() == 1 ? 1.0 : 0.0));
    }
  }

  Place place() { return {pass_, weights_}; }

  Parameters parameters{at::kCPU};
  RmsNorm norm;
  Attention attention;
  FeedForward feed_forward;
  Gate gate;
  Gate other_gate;

 private:
  Pass pass_;
  LayerWeights weights_;
};

/// y and the gradients of all that it depends on, h and s first.
struct Computed {
  at::Tensor y;
  std::vector<at::Tensor> gradients;
  std::string last_op;
};
using Equation =
    std::function<at::Tensor(BranchCase& in, const at::Tensor& h, const at::Tensor& s)>;

Computed computed(const Equation& equation, at::ScalarType compute) {
  BranchCase in(compute);
  const auto h = values({1, kRows, 32}, 1).requires_grad_(true);
  const auto s = at::full({}, 0.3).requires_grad_(true);
  Computed result;
  result.y = equation(in, h, s);
  result.last_op = result.y.grad_fn()->name();
  result.y.square().sum().backward();
  result.gradients = {h.grad(), s.grad()};
  for (const auto& parameter : in.parameters.all()) {
    result.gradients.push_back(parameter.value.grad());
  }
  return result;
}

void expect_near_largest(const at::Tensor& actual, const at::Tensor& expected, double tolerance) {
  ASSERT_EQ(actual.defined(), expected.defined());
  if (expected.defined()) {
    const double off = (actual - expected).abs().max().item<double>();
    EXPECT_LE(off, tolerance * expected.abs().max().item<double>());
  }
}

void expect_same(const Equation& equation, const Equation& definition) {
  for (const auto compute : {at::kFloat, at::kBFloat16}) {
    SCOPED_TRACE(c10::toString(compute));
    const auto actual = computed(equation, compute);
    const auto expected = computed(definition, compute);
    const double tolerance = kBranchTolerance.of(compute);
    expect_near_largest(actual.y, expected.y, tolerance);
    for (size_t i = 0; i < expected.gradients.size(); ++i) {
      SCOPED_TRACE(i);
      expect_near_largest(actual.gradients[i], expected.gradients[i], tolerance);
    }
  }
}

TEST(Branch, AttentionOfANormIsThatOfItsValues) {
  expect_same(
      [](BranchCase& in, const at::Tensor& h, const at::Tensor& s) {
        return h + s * in.attention(rms_norm(h, in.norm), in.place());
      },
      [](BranchCase& in, const at::Tensor& h, const at::Tensor& s) {
        const auto x = rms_norm(h, in.norm).in(in.place().pass.compute_dtype());
        return h + s * in.attention(x, in.place()).value();
      });
}

TEST(Branch, FeedForwardOfANormIsThatOfItsValues) {
  const auto fused = [](BranchCase& in, const at::Tensor& h, const at::Tensor& s) {
    return h + s * in.feed_forward(rms_norm(h, in.norm), in.place());
  };
  const auto definition = [](BranchCase& in, const at::Tensor& h, const at::Tensor& s) {
    const auto x = rms_norm(h, in.norm).in(in.place().pass.compute_dtype());
    return h + s * in.feed_forward(x, in.place()).value();
  };
  expect_same(fused, definition);
  EXPECT_NE(computed(fused, at::kFloat).last_op, computed(definition, at::kFloat).last_op);
}

TEST(Branch, IsAddedToTheStateOnItsLeftAndNotToTheOneThatItReads) {
  const auto other = values({1, kRows, 32}, 2);
  expect_same(
      [&](BranchCase& in, const at::Tensor& h, const at::Tensor& s) {
        const auto x = rms_norm(h, in.norm);
        return (other + s * in.attention(x, in.place())) + s * in.feed_forward(x, in.place());
      },
      [&](BranchCase& in, const at::Tensor& h, const at::Tensor& s) {
        const auto x = rms_norm(h, in.norm).in(in.place().pass.compute_dtype());
        return other + s * in.attention(x, in.place()).value() +
               s * in.feed_forward(x, in.place()).value();
      });
}

TEST(Branch, WithoutAScaleIsAddedWhole) {
  expect_same(
      [](BranchCase& in, const at::Tensor& h, const at::Tensor& s) {
        const auto a = h + in.attention(rms_norm(h, in.norm), in.place());
        return (a + in.feed_forward(rms_norm(a, in.norm), in.place())) * s;
      },
      [](BranchCase& in, const at::Tensor& h, const at::Tensor& s) {
        const auto one = at::full({}, 1.0);
        const auto a = h + one * in.attention(rms_norm(h, in.norm), in.place());
        return (a + one * in.feed_forward(rms_norm(a, in.norm), in.place())) * s;
      });
}

TEST(GatedSum, IsEveryGateTimesItsMemory) {
  const auto memories = [](const at::Tensor& s, at::ScalarType type) {
    return std::vector{(values({1, kRows, 32}, 3) * s).to(type),
                       (values({1, kRows, 32}, 4) * s).to(type)};
  };
  expect_same(
      [&](BranchCase& in, const at::Tensor& h, const at::Tensor& s) {
        const auto m = memories(s, in.place().pass.compute_dtype());
        return h + GatedSum(h, {in.gate * m[0], in.other_gate * m[1]}, in.place());
      },
      [&](BranchCase& in, const at::Tensor& h, const at::Tensor& s) {
        const auto m = memories(s, in.place().pass.compute_dtype());
        const auto g = [&](const Gate& gate) {
          const auto logits = gate.weight(h, in.place()).to(at::kFloat);
          return (logits + gate.bias).sigmoid();
        };
        return h + g(in.gate) * m[0] + g(in.other_gate) * m[1];
      });
}

TEST(GatedSum, ShowsTheGateOfEachTerm) {
  BranchCase in(at::kFloat);
  const auto h = values({1, kRows, 32}, 6);
  const GatedSum sum(h, {in.gate * h, in.other_gate * h}, in.place());
  const auto expected = [&](const Gate& gate) {
    return (gate.weight(h, in.place()) + gate.bias).sigmoid();
  };
  EXPECT_TRUE(sum.gate(0).allclose(expected(in.gate), 1e-4, 1e-5));
  EXPECT_TRUE(sum.gate(1).allclose(expected(in.other_gate), 1e-4, 1e-5));
}

TEST(GatedSum, OfNothingAddsNothing) {
  const auto h = values({1, 2, 32}, 5);
  EXPECT_TRUE((h + GatedSum()).is_same(h));
}

}  // namespace
}  // namespace loopbank
