/// Each fused op of a GPU against its definition, thread by thread.

#include "loopbank/ops/cuda/fused.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/softmax.h>
#include <gtest/gtest.h>

#include "../ops/gradient_check.h"
#include "kernel_check.h"
#include "loopbank/ops/cuda/launches.h"
#include "loopbank/ops/cuda/tensors.h"
#include "loopbank/ops/elementwise.h"
#include "loopbank/ops/gated_sum.h"
#include "loopbank/ops/memory_read.h"
#include "loopbank/ops/norm.h"
#include "loopbank/ops/self_attention.h"

namespace loopbank::testing {
namespace {

using namespace ops;

constexpr double kRotaryBase = 500000.0;

/// Rows, and widths on either side of what a lane, a warp and the registers hold.
struct RowsAndWidth {
  int64_t rows;
  int64_t width;
};
constexpr RowsAndWidth kRowSizes[] = {{1, 1},    {3, 7},    {5, 8},    {9, 37},
                                      {2, 255},  {3, 256},  {17, 40},  {70, 768},
                                      {10, 776}, {5, 1024}, {11, 1032}};

/// visit(size, dtype).
template <typename Visit>
void for_each_row_case(const Visit& visit) {
  for (const auto dtype : kFusedDtypes) {
    for (const auto& size : kRowSizes) {
      SCOPED_TRACE(::testing::Message() << size.rows << " rows of " << size.width << ", " << dtype);
      visit(size, dtype);
    }
  }
}

/// The type of an fp64 run's result is fp64.
at::ScalarType result_type(const at::Tensor& x, at::ScalarType type) {
  return x.scalar_type() == at::kDouble ? at::kDouble : type;
}

/// Gradients of parameters are sums over rows; where a variance is near 0 it magnifies what is
/// rounded.
constexpr Tolerance kNormGradients{.fp32 = 5e-5, .bf16 = 2 * kOneRoundingToBf16};

TEST(CudaKernels, RmsNorm) {
  RandomTensors random;
  for_each_row_case([&](const RowsAndWidth& size, auto dtype) {
    const auto x = random.normal({size.rows, size.width}, dtype);
    const auto weight = random.normal({size.width}, at::kFloat);
    for (const auto out : kFusedDtypes) {
      expect_kernels_are_definition(
          {.fused = [&](const auto& in) -> std::vector<at::Tensor> {
             return {cuda::rms_norm(in[0], in[1], kEps, out)};
           },
           .definition = [&](const auto& in) -> std::vector<at::Tensor> {
             return {rms_norm(in[0], in[1], kEps, result_type(in[0], out))};
           },
           .tolerance = kNormGradients},
          {x, weight});
    }
  });
}

TEST(CudaKernels, RmsNormMeetsTheGradientsOfItsInput) {
  RandomTensors random;
  for_each_row_case([&](const RowsAndWidth& size, auto dtype) {
    expect_kernels_are_definition(
        {.fused = [&](const auto& in) -> std::vector<at::Tensor> {
           const auto both = cuda::rms_norm_and_input(in[0], in[1], kEps, dtype);
           return {both.y, both.x * 2};
         },
         .definition = [&](const auto& in) -> std::vector<at::Tensor> {
           return {rms_norm(in[0], in[1], kEps, result_type(in[0], dtype)), in[0] * 2};
         },
         .tolerance = {.fp32 = 5e-5, .bf16 = 3 * kOneRoundingToBf16}},
        {random.normal({size.rows, size.width}, dtype), random.normal({size.width}, at::kFloat)});
  });
}

TEST(CudaKernels, LayerNorm) {
  RandomTensors random;
  for_each_row_case([&](const RowsAndWidth& size, auto dtype) {
    if (size.width == 1) {
      return;  // a variance of 0: what is rounded is all there is
    }
    const auto x = random.normal({size.rows, size.width}, dtype);
    const auto weight = random.normal({size.width}, at::kFloat);
    const auto bias = random.normal({size.width}, at::kFloat);
    expect_kernels_are_definition(
        {.fused = [&](const auto& in) -> std::vector<at::Tensor> {
           return {cuda::layer_norm(in[0], in[1], in[2], kEps, dtype)};
         },
         .definition = [&](const auto& in) -> std::vector<at::Tensor> {
           return {layer_norm(in[0], in[1], in[2], kEps, result_type(in[0], dtype))};
         },
         .tolerance = kNormGradients},
        {x, weight, bias});
  });
}

TEST(CudaKernels, Swiglu) {
  RandomTensors random;
  for_each_row_case([&](const RowsAndWidth& size, auto dtype) {
    expect_kernels_are_definition(
        {.fused = [](const auto& in) -> std::vector<at::Tensor> { return {cuda::swiglu(in[0])}; },
         .definition = [](const auto& in) -> std::vector<at::Tensor> { return {swiglu(in[0])}; },
         .tolerance = kElementwiseTolerance},
        {random.normal({size.rows, 2 * size.width}, dtype)});
  });
}

TEST(CudaKernels, ScaledResidual) {
  RandomTensors random;
  for_each_row_case([&](const RowsAndWidth& size, auto dtype) {
    const auto state = random.normal({size.rows, size.width}, at::kFloat);
    const auto branch = random.normal({size.rows, size.width}, dtype);
    const KernelCase op{
        .fused = [](const auto& in) -> std::vector<at::Tensor> {
          return {cuda::scaled_residual(in[0], in[1], in.size() > 2 ? in[2] : at::Tensor())};
        },
        .definition = [](const auto& in) -> std::vector<at::Tensor> {
          return {scaled_residual(in[0], in[1], in.size() > 2 ? in[2] : at::Tensor())};
        },
        .tolerance = {.fp32 = 1e-5, .bf16 = kOneRoundingToBf16}};
    expect_kernels_are_definition(op, {state, branch, at::full({}, 0.3, at::kFloat)});
    expect_kernels_are_definition(op, {state, branch});
  });
}

TEST(CudaKernels, GatedSum) {
  RandomTensors random;
  for_each_row_case([&](const RowsAndWidth& size, auto dtype) {
    for (const int64_t banks : {1, 2}) {
      std::vector<at::Tensor> inputs = {random.normal({size.rows, size.width}, at::kFloat),
                                        random.normal({size.rows, banks * size.width}, dtype)};
      for (int64_t bank = 0; bank < banks; ++bank) {
        inputs.push_back(random.normal({size.width}, at::kFloat));
      }
      for (int64_t bank = 0; bank < banks; ++bank) {
        inputs.push_back(random.normal({size.rows, size.width}, dtype));
      }
      const auto apply = [banks](const auto& op, const auto& in) -> std::vector<at::Tensor> {
        const auto biases = in.begin() + 2;
        return {op(in[0], in[1], std::vector<at::Tensor>(biases, biases + banks),
                   std::vector<at::Tensor>(biases + banks, in.end()))};
      };
      expect_kernels_are_definition(
          {.fused = [&](const auto& in) { return apply(cuda::gated_sum, in); },
           .definition = [&](const auto& in) { return apply(gated_sum, in); },
           .tolerance = {.fp32 = 1e-5, .bf16 = kOneRoundingToBf16}},
          inputs);
    }
  });
}

TEST(CudaKernels, MixByHalting) {
  RandomTensors random;
  for_each_row_case([&](const RowsAndWidth& size, auto dtype) {
    for (const int64_t loops : {1, 3}) {
      std::vector<at::Tensor> inputs;
      for (int64_t t = 0; t < loops; ++t) {
        inputs.push_back(random.normal({1, size.rows, size.width}, dtype));
      }
      inputs.push_back(at::softmax(random.normal({loops, 1, size.rows}, at::kFloat), 0));
      const auto apply = [](const auto& op, const auto& in) -> std::vector<at::Tensor> {
        const auto mix = op(std::vector<at::Tensor>(in.begin(), in.end() - 1), in.back());
        return {mix.state, mix.expected_loops};
      };
      expect_kernels_are_definition(
          {.fused = [&](const auto& in) { return apply(cuda::mix_by_halting, in); },
           .definition = [&](const auto& in) { return apply(mix_by_halting, in); },
           .tolerance = {.fp32 = 1e-4, .bf16 = kOneRoundingToBf16}},  // dP: a sum of 1032 products
          inputs);
    }
  });
}

TEST(CudaKernels, HaltingDistribution) {
  RandomTensors random;
  for (const int64_t loops : {1, 2, 5, 16}) {
    std::vector<at::Tensor> logits;
    for (int64_t t = 0; t < loops; ++t) {
      logits.push_back(4 * random.normal({3, 131}, at::kFloat));
    }
    if (loops == 1) {  // its logit gets no gradient: the values alone
      EXPECT_TRUE(cuda::halting_distribution(logits).equal(halting_distribution(logits)));
      continue;
    }
    expect_kernels_are_definition({.fused = [](const auto& in) -> std::vector<at::Tensor> {
                                     return {cuda::halting_distribution(in)};
                                   },
                                   .definition = [](const auto& in) -> std::vector<at::Tensor> {
                                     return {halting_distribution(in)};
                                   },
                                   .tolerance = {.fp32 = 5e-6, .bf16 = 0.0}},
                                  logits);
  }
}

/// B, T, H, H_kv, d: pairs of each head in one lane, in part of a warp, in a whole one, in scalars.
struct HeadSizes {
  int64_t B, T, H, H_kv, d;
};
constexpr HeadSizes kHeadSizes[] = {{1, 1, 1, 1, 2},     {2, 5, 3, 1, 6},  {1, 9, 4, 2, 16},
                                    {2, 37, 12, 12, 64}, {1, 3, 5, 5, 96}, {1, 4, 2, 1, 512},
                                    {3, 2, 6, 2, 22}};

TEST(CudaKernels, RotatedHeads) {
  RandomTensors random;
  for (const auto dtype : kFusedDtypes) {
    for (const auto& size : kHeadSizes) {
      SCOPED_TRACE(::testing::Message() << "d " << size.d << ", " << dtype);
      const AttentionHeads heads{.query = size.H, .key = size.H_kv};
      const auto angles = rotary_table(0, size.T, size.d, kRotaryBase, at::kCPU);
      const auto rows = size.B * size.T;
      const auto of_kernels = [&](const auto& in) -> std::vector<at::Tensor> {
        const auto of = cuda::rotated_heads(
            in[0], heads, angles, {.query_weight = in[1], .key_weight = in[2], .eps = kEps});
        return {of.query, of.key, of.value};
      };
      const auto of_definition = [&](const auto& in) -> std::vector<at::Tensor> {
        // Every row with its own angles.
        const RotaryTable all{angles.cosines.repeat({size.B, 1}).to(in[0].scalar_type()),
                              angles.sines.repeat({size.B, 1}).to(in[0].scalar_type())};
        const auto of = rotated_heads(in[0], heads, all,
                                      {.query_weight = in[1], .key_weight = in[2], .eps = kEps});
        return {of.query, of.key, of.value};
      };
      expect_kernels_are_definition(
          {.fused = of_kernels,
           .definition = of_definition,
           .tolerance = {.fp32 = 2e-4, .bf16 = 2 * kOneRoundingToBf16}},
          {random.normal({rows, (size.H + 2 * size.H_kv) * size.d}, dtype),
           random.normal({size.d}, at::kFloat), random.normal({size.d}, at::kFloat)});
    }
  }
}

TEST(CudaKernels, RotatedHeadsNormedBeforeOrNotAtAll) {
  RandomTensors random;
  for (const auto dtype : kFusedDtypes) {
    for (const auto& size : kHeadSizes) {
      for (const auto place : {NormPlace::kNone, NormPlace::kBefore}) {
        SCOPED_TRACE(::testing::Message() << "d " << size.d << ", " << dtype);
        const AttentionHeads heads{.query = size.H, .key = size.H_kv};
        // YaRN's cosines and sines are longer than 1, which a norm before them does not see.
        auto frequencies = rotary_frequencies(size.d, kRotaryBase, at::kCPU);
        frequencies.amplitude = 1.25;
        const auto angles = rotary_table(0, size.B * size.T, frequencies);
        const auto norm_of = [&](const auto& in) {
          return place == NormPlace::kNone ? HeadNorm{{}, {}, kEps, place}
                                           : HeadNorm{in[1], in[2], kEps, place};
        };
        const auto of_kernels = [&](const auto& in) -> std::vector<at::Tensor> {
          const auto of = cuda::rotated_heads(in[0], heads, angles, norm_of(in));
          return {of.query, of.key, of.value};
        };
        const auto of_definition = [&](const auto& in) -> std::vector<at::Tensor> {
          const auto type = in[0].scalar_type();
          const auto of = rotated_heads(
              in[0], heads, {angles.cosines.to(type), angles.sines.to(type)}, norm_of(in));
          return {of.query, of.key, of.value};
        };
        std::vector<at::Tensor> inputs = {
            random.normal({size.B * size.T, (size.H + 2 * size.H_kv) * size.d}, dtype)};
        if (place != NormPlace::kNone) {
          inputs.push_back(random.normal({size.d}, at::kFloat));
          inputs.push_back(random.normal({size.d}, at::kFloat));
        }
        expect_kernels_are_definition({.fused = of_kernels,
                                       .definition = of_definition,
                                       .tolerance = {.fp32 = 2e-4, .bf16 = 2 * kOneRoundingToBf16}},
                                      inputs);
      }
    }
  }
}

TEST(CudaKernels, RotatedHeadsOfKeysAlone) {
  RandomTensors random;
  const auto kv = random.normal({7, 2 * 3 * 16}, at::kBFloat16);
  const auto angles = rotary_table(0, 7, 16, kRotaryBase, at::kCPU);
  const HeadNorm norm{.query_weight = random.normal({16}, at::kFloat),
                      .key_weight = random.normal({16}, at::kFloat),
                      .eps = kEps};
  const at::NoGradGuard no_grad;
  const auto fused = cuda::rotated_heads(kv, {.query = 0, .key = 3}, angles, norm);
  const KernelsScope reference(Kernels::kReference);
  const auto expected = rotated_heads(kv, {.query = 0, .key = 3}, angles, norm);
  expect_close(fused.key, expected.key.to(at::kDouble), kOneRoundingToBf16 * 2);
  EXPECT_TRUE(fused.value.equal(expected.value));
  EXPECT_EQ(fused.query.numel(), 0);
}

/// The same values, two bytes past a multiple of 16.
at::Tensor unaligned(const at::Tensor& x) {
  const auto larger = at::full({x.numel() + 1}, 0.0, x.options());
  const auto view = larger.narrow(0, 1, x.numel()).view(x.sizes());
  view.copy_(x);
  return view;
}

TEST(CudaKernels, TakeMemoryThatDoesNotBeginOnAVector) {
  RandomTensors random;
  const at::NoGradGuard no_grad;
  const auto qkv = random.normal({5, 3 * 128}, at::kBFloat16);
  const auto angles = rotary_table(0, 5, 128, kRotaryBase, at::kCPU);
  const HeadNorm norm{.query_weight = random.normal({128}, at::kFloat),
                      .key_weight = random.normal({128}, at::kFloat),
                      .eps = kEps};
  const AttentionHeads heads{.query = 1, .key = 1};
  const auto expected = cuda::rotated_heads(qkv, heads, angles, norm);
  const auto actual = cuda::rotated_heads(unaligned(qkv), heads, angles, norm);
  EXPECT_TRUE(actual.query.equal(expected.query) && actual.key.equal(expected.key) &&
              actual.value.equal(expected.value));
  const auto x = random.normal({3, 256}, at::kFloat);
  EXPECT_TRUE(cuda::swiglu(unaligned(x)).equal(cuda::swiglu(x)));
  expect_close(cuda::rms_norm(unaligned(x), norm.query_weight.repeat({2}), kEps, at::kFloat),
               cuda::rms_norm(x, norm.query_weight.repeat({2}), kEps, at::kFloat).to(at::kDouble),
               1e-6);
}

TEST(CudaKernels, RefuseWideHeadsThatDoNotBeginOnAVector) {
  const auto qkv = unaligned(at::full({1, 3 * 128}, 1.0, at::kFloat));
  const auto row = at::full({128}, 1.0, at::kFloat);
  const auto of_row = cuda::floats_of(row);
  const cuda::Floats angles{.data = of_row.data, .size = 64};
  expect_error(
      ErrorCode::kDevice,
      "rotary: expected the kernel to start, got \"wide heads in memory that does not begin "
      "on 16 bytes\".",
      [&] {
        cuda::rotary_forward({.qkv = cuda::values_of(qkv),
                              .cosines = angles,
                              .sines = angles,
                              .query_weight = of_row,
                              .key_weight = of_row,
                              .query = cuda::values_of(row),
                              .key = cuda::values_of(row),
                              .rows = 1,
                              .positions = 1,
                              .num_queries = 1,
                              .num_keys = 1,
                              .width = 128},
                             nullptr);
      });
}

TEST(CudaKernels, MemoryRead) {
  RandomTensors random;
  for (const auto dtype : kFusedDtypes) {
    const std::vector<at::Tensor> inputs = {random.normal({2, 5, 24}, dtype),
                                            random.normal({33, 24}, dtype),
                                            random.normal({33, 24}, dtype)};
    // It is ATen's: the definition's tolerance, and no kernel of ours.
    const auto gradients = [&](const auto& op, at::ScalarType type) {
      std::vector<at::Tensor> leaves;
      for (const auto& input : inputs) {
        leaves.push_back(input.to(type).detach().requires_grad_(true));
      }
      auto result = op(leaves[0], leaves[1], leaves[2]);
      const auto weights = RandomTensors().normal(result.sizes(), dtype).to(type);
      (result * weights).sum().backward();
      return std::vector<at::Tensor>{result.detach(), leaves[0].grad(), leaves[1].grad(),
                                     leaves[2].grad()};
    };
    const auto actual = gradients(cuda::memory_read, dtype);
    const auto exact = gradients(memory_read, at::kDouble);
    for (size_t i = 0; i < actual.size(); ++i) {
      expect_close(actual[i], exact[i], kMemoryReadTolerance.of(dtype));
    }
  }
}

}  // namespace
}  // namespace loopbank::testing
