#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include "elementwise_fused_check.h"
#include "gradient_check.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/norm.h"

namespace loopbank::ops {
namespace {

using testing::expect_close;
using testing::expect_fused_is_reference;
using testing::kEps;
using testing::kFusedDtypes;
using testing::kSizes;
using testing::RandomTensors;
using testing::TensorsFunction;
using testing::with_gaps;

/// fp32 gradients of the parameters are sums over rows, of thousands here.
constexpr Tolerance kRmsNormGradients{.fp32 = 2e-5, .bf16 = kOneRoundingToBf16};
/// Rows of one or two values may have a variance near 0, which magnifies what is rounded.
constexpr Tolerance kLayerNormGradients{.fp32 = 2e-5, .bf16 = 2 * kOneRoundingToBf16};

TensorsFunction rms_norm_into(at::ScalarType out) {
  return [out](const auto& in) {
    const auto type = in[0].scalar_type() == at::kDouble ? at::kDouble : out;
    return std::vector<at::Tensor>{rms_norm(in[0], in[1], kEps, type)};
  };
}

TensorsFunction layer_norm_into(at::ScalarType out) {
  return [out](const auto& in) {
    const auto type = in[0].scalar_type() == at::kDouble ? at::kDouble : out;
    return std::vector<at::Tensor>{layer_norm(in[0], in[1], in[2], kEps, type)};
  };
}

/// visit(shape, dtype of x, dtype of y): ragged widths, and rows enough for two threads.
template <typename Visit>
void for_each_case(const Visit& visit) {
  for (const auto dtype : kFusedDtypes) {
    for (const auto out : kFusedDtypes) {
      for (const auto width : kSizes) {
        visit(std::vector<int64_t>{2, 3, width}, dtype, out);
      }
      visit(std::vector<int64_t>{100, 9, 37}, dtype, out);
      visit(std::vector<int64_t>{61, 768}, dtype, out);
    }
  }
}

TEST(RmsNormFused, IsTheReferenceInValueAndGradients) {
  RandomTensors random;
  for_each_case([&](const auto& shape, auto dtype, auto out) {
    const auto x = random.normal(shape, dtype);
    const auto weight = random.normal({shape.back()}, at::kFloat);
    expect_fused_is_reference(rms_norm_into(out), {x, weight}, kRmsNormGradients);
  });
}

TEST(RmsNormFused, TakesInputsWithGaps) {
  RandomTensors random;
  for (const auto dtype : kFusedDtypes) {
    const auto x = with_gaps(random.normal({2, 3, 37}, dtype));
    const auto weight = with_gaps(random.normal({37}, at::kFloat));
    expect_fused_is_reference(rms_norm_into(dtype), {x, weight}, kRmsNormGradients);
  }
}

TEST(LayerNormFused, IsTheReferenceInValueAndGradients) {
  RandomTensors random;
  for_each_case([&](const auto& shape, auto dtype, auto out) {
    const auto x = random.normal(shape, dtype);
    const auto weight = random.normal({shape.back()}, at::kFloat);
    const auto bias = random.normal({shape.back()}, at::kFloat);
    expect_fused_is_reference(layer_norm_into(out), {x, weight, bias}, kLayerNormGradients);
  });
}

TEST(LayerNormFused, TakesInputsWithGaps) {
  RandomTensors random;
  for (const auto dtype : kFusedDtypes) {
    const auto x = with_gaps(random.normal({2, 3, 37}, dtype));
    const auto weight = with_gaps(random.normal({37}, at::kFloat));
    const auto bias = with_gaps(random.normal({37}, at::kFloat));
    expect_fused_is_reference(layer_norm_into(dtype), {x, weight, bias}, kLayerNormGradients);
  }
}

TEST(NormFused, TakesAGradientThatIsOneNumberExpanded) {
  RandomTensors random;
  const auto x = random.normal({5, 9}, at::kFloat);
  const auto gradients = [&](Kernels kernels) {
    const KernelsScope scope(kernels);
    std::vector<at::Tensor> leaves = {x.clone(), at::full({9}, 1.5), at::full({9}, 0.5)};
    for (auto& leaf : leaves) {
      leaf.requires_grad_(true);
    }
    const auto sum = rms_norm(leaves[0], leaves[1], kEps, at::kFloat).sum() +
                     layer_norm(leaves[0], leaves[1], leaves[2], kEps, at::kFloat).sum();
    sum.backward();
    return std::vector<at::Tensor>{leaves[0].grad(), leaves[1].grad(), leaves[2].grad()};
  };
  const auto fused = gradients(Kernels::kFused);
  const auto reference = gradients(Kernels::kReference);
  for (size_t i = 0; i < fused.size(); ++i) {
    expect_close(fused[i], reference[i], kLayerNormGradients.fp32);
  }
}

TEST(NormFused, GivesAGradientToTheOnlyOneThatAsks) {
  RandomTensors random;
  const auto x = random.normal({5, 9}, at::kBFloat16);
  const auto weight = random.normal({9}, at::kFloat).requires_grad_(true);
  const auto bias = random.normal({9}, at::kFloat);
  rms_norm(x, weight, kEps, at::kBFloat16).sum().backward();
  layer_norm(x, weight, bias, kEps, at::kBFloat16).sum().backward();
  EXPECT_TRUE(weight.grad().defined());
  EXPECT_FALSE(x.grad().defined());
  EXPECT_FALSE(bias.grad().defined());
}

}  // namespace
}  // namespace loopbank::ops
