/// tree_attention against self_attention on every path from a root, and fused against reference.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "gradient_check.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/self_attention.h"
#include "rotary_angles.h"

namespace loopbank::ops {
namespace {

using testing::angles_at;
using testing::expect_close;
using testing::expect_error;
using testing::expect_gradients_match;
using testing::kDtypes;
using testing::kEps;
using testing::RandomTensors;
using testing::with_gaps;

struct TreeAttentionInputs {
  AttentionHeads heads;
  at::Tensor qkv;  // [1, T, (H + 2 H_kv) d]
  HeadNorm norm;
};

TreeAttentionInputs random_tree_inputs(size_t tokens, const AttentionHeads& heads, int64_t width,
                                       at::ScalarType dtype) {
  RandomTensors random;
  const auto weight = [&] { return random.normal({width}, at::kFloat).mul_(0.2).add_(1.0); };
  return {heads,
          random.normal({1, static_cast<int64_t>(tokens), (heads.query + 2 * heads.key) * width},
                        dtype),
          {weight(), weight(), kEps}};
}

/// A shared beginning, then branches of several lengths, some of which part again; a second root.
std::vector<int64_t> bushy(int64_t shared, int64_t branches) {
  std::vector<int64_t> depths;
  const auto run = [&](int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      depths.push_back(first + i);
    }
  };
  run(0, shared);
  for (int64_t i = 0; i < branches; ++i) {
    run(shared, 3 + i % 19);
    run(shared + 2, 1 + i % 5);
    run(shared + 2, 1 + i % 7);
  }
  run(0, 5);
  return depths;
}

/// The tokens from a root to token i.
std::vector<int64_t> path_of(const std::vector<int64_t>& depths, int64_t token) {
  std::vector<int64_t> path;
  auto wanted = depths[static_cast<size_t>(token)];
  for (int64_t i = token; wanted >= 0; --i) {
    if (depths[static_cast<size_t>(i)] == wanted) {
      path.insert(path.begin(), i);
      --wanted;
    }
  }
  return path;
}

at::Tensor run_tree_attention(const TreeAttentionInputs& in, const std::vector<int64_t>& depths) {
  return tree_attention(in.qkv, in.heads, angles_at(depths, in.norm.query_weight.size(0)), in.norm,
                        TokenTree(depths));
}

TEST(TreeAttention, EveryPathIsASequenceOfItsOwn) {
  const auto depths = bushy(9, 5);
  for (const auto kernels : {Kernels::kReference, Kernels::kFused}) {
    const KernelsScope scope(kernels);
    for (const auto dtype : kDtypes) {
      const auto in = random_tree_inputs(depths.size(), {4, 2}, 6, dtype);
      const auto out = run_tree_attention(in, depths);
      EXPECT_EQ(out.scalar_type(), dtype);
      for (int64_t token = 0; token < out.size(1); ++token) {
        const auto path = path_of(depths, token);
        const auto rows = in.qkv.index_select(1, at::tensor(path, at::kLong));
        const auto angles =
            rotary_table(0, static_cast<int64_t>(path.size()), 6, 10000.0, at::kCPU);
        const auto alone = self_attention(rows, in.heads, angles, in.norm);
        expect_close(out.select(1, token), alone.select(1, -1),
                     2 * kSelfAttentionTolerance.of(dtype));
      }
    }
  }
}

TEST(TreeAttention, TheFusedVersionIsTheReference) {
  const int threads_before = at::get_num_threads();
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const auto& heads : {AttentionHeads{1, 1}, {4, 4}, {4, 2}, {6, 1}}) {
      // Beginnings around the sizes of tiles (64 rows) and blocks of keys (512).
      for (const auto& depths : {bushy(1, 1), bushy(15, 3), bushy(64, 9), bushy(129, 20),
                                 bushy(513, 4), bushy(1040, 3), std::vector<int64_t>{0, 0, 0, 1}}) {
        const auto in = random_tree_inputs(depths.size(), heads, 16, dtype);
        at::Tensor exact;
        {
          const KernelsScope scope(Kernels::kReference);
          auto wide = in;
          wide.qkv = in.qkv.to(at::kDouble);
          exact = run_tree_attention(wide, depths);
        }
        for (const int threads : {1, 2}) {
          at::set_num_threads(threads);
          expect_close(run_tree_attention(in, depths), exact, kSelfAttentionTolerance.of(dtype));
        }
      }
    }
  }
  at::set_num_threads(threads_before);
}

TEST(TreeAttention, ReadsRowsWithGaps) {
  const auto depths = bushy(20, 4);
  const auto in = random_tree_inputs(depths.size(), {2, 1}, 8, at::kFloat);
  auto apart = in;
  apart.qkv = with_gaps(in.qkv);
  expect_close(run_tree_attention(apart, depths), run_tree_attention(in, depths), 0.0);
}

TEST(TreeAttention, GradientsMatch) {
  const std::vector<int64_t> depths = {0, 1, 1, 2, 0};
  RandomTensors random;
  const auto attention = [&](const std::vector<at::Tensor>& in) {
    return tree_attention(in[0], {2, 1}, angles_at(depths, 4), {in[1], in[2], kEps},
                          TokenTree(depths));
  };
  expect_gradients_match(attention,
                         {random.normal({1, 5, 4 * 4}), random.normal({4}), random.normal({4})});
  // In fp32 the fused version stands aside where a gradient is asked for.
  auto in = random_tree_inputs(depths.size(), {2, 1}, 4, at::kFloat);
  in.qkv.requires_grad_(true);
  run_tree_attention(in, depths).sum().backward();
  EXPECT_GT(in.qkv.grad().abs().sum().item<double>(), 0.0);
}

TEST(TreeAttention, RefusesATreeOfAnotherSize) {
  const auto in = random_tree_inputs(3, {2, 2}, 4, at::kFloat);
  expect_error(
      ErrorCode::kShape,
      "tree_attention: expected qkv of 1 row of the tree's 2 tokens, got [1, 3, 24].", [&] {
        (void)tree_attention(in.qkv, in.heads, angles_at({0, 1, 2}, 4), in.norm, TokenTree({0, 1}));
      });
}

}  // namespace
}  // namespace loopbank::ops
