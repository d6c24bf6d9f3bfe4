#include "loopbank/ops/workspace.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace loopbank::ops {
namespace {

TEST(Workspace, ADroppedTensorIsHandedOutAgainInOtherSizes) {
  Workspace workspace;
  for (const auto type : {at::kFloat, at::kBFloat16, at::kLong}) {
    const void* first = nullptr;
    for (const auto& list : std::vector<std::vector<int64_t>>{{3, 5}, {1, 2, 6}, {16}}) {
      const at::IntArrayRef sizes(list);
      const auto x = workspace.tensor(sizes, type);
      EXPECT_EQ(x.sizes(), sizes);
      EXPECT_EQ(x.scalar_type(), type);
      EXPECT_TRUE(x.is_contiguous());
      first = first == nullptr ? x.data_ptr() : first;
      EXPECT_EQ(x.data_ptr(), first);
    }
  }
  EXPECT_EQ(workspace.num_tensors(), 3U);
}

TEST(Workspace, WhatSomebodyHoldsIsNotHandedOut) {
  Workspace workspace;
  auto kept = workspace.tensor({4}, at::kFloat);
  std::optional<at::Tensor> view = workspace.tensor({4}, at::kFloat).narrow(0, 1, 2);
  const auto* const of_view = view->storage().data_ptr().get();
  for (int i = 0; i < 5; ++i) {
    const auto x = workspace.tensor({4}, at::kFloat);
    EXPECT_NE(x.data_ptr(), kept.data_ptr());
    EXPECT_NE(x.data_ptr(), of_view);
  }
  EXPECT_EQ(workspace.num_tensors(), 3U);
  view.reset();
  kept.reset();
  const auto a = workspace.tensor({4}, at::kFloat);
  const auto b = workspace.tensor({4}, at::kFloat);
  const auto c = workspace.tensor({4}, at::kFloat);
  EXPECT_EQ(workspace.num_tensors(), 3U);
}

TEST(Workspace, ItsOwnViewsHoldWhatTheyLookAtUntilTheyAreDropped) {
  Workspace workspace;
  auto x = workspace.tensor({2, 6}, at::kFloat);
  x.copy_(at::arange(12, at::kFloat).view({2, 6}));
  std::optional<at::Tensor> view = workspace.view(x, {2, 2}, {6, 1}, 3);
  EXPECT_TRUE(view->equal(x.narrow(1, 3, 2)));
  const auto* const data = x.data_ptr();
  x.reset();
  EXPECT_NE(workspace.tensor({12}, at::kFloat).data_ptr(), data);
  view.reset();
  // The next view finds the place of the one before, and lets go of its memory.
  const auto other = workspace.tensor({12}, at::kFloat);
  const auto next = workspace.view(other, {3}, {1}, 0);
  EXPECT_EQ(next.data_ptr(), other.data_ptr());
  EXPECT_EQ(workspace.tensor({12}, at::kFloat).data_ptr(), data);
}

TEST(Workspace, DroppedViewsLetGoOfTheirMemoryAtTheNextView) {
  Workspace workspace;
  {
    const auto a = workspace.view(workspace.tensor({12}, at::kFloat), {3}, {1}, 0);
    const auto b = workspace.view(workspace.tensor({12}, at::kFloat), {3}, {1}, 0);
  }
  const auto elsewhere = at::arange(3, at::kFloat);
  EXPECT_TRUE(workspace.view(elsewhere, {3}, {1}, 0).equal(elsewhere));
  const auto c = workspace.tensor({12}, at::kFloat);
  const auto d = workspace.tensor({12}, at::kFloat);
  EXPECT_EQ(workspace.num_tensors(), 2U);
}

TEST(Workspace, LargeTensorsAndOtherTypesAreNotKept) {
  Workspace workspace;
  EXPECT_EQ(workspace.tensor({(1 << 16) + 1}, at::kFloat).size(0), (1 << 16) + 1);
  EXPECT_EQ(workspace.tensor({3}, at::kDouble).scalar_type(), at::kDouble);
  EXPECT_EQ(workspace.num_tensors(), 0U);
  (void)workspace.tensor({1 << 16}, at::kFloat);
  EXPECT_EQ(workspace.tensor({0, 4}, at::kFloat).sizes(), at::IntArrayRef({0, 4}));
  EXPECT_EQ(workspace.num_tensors(), 2U);
}

TEST(WorkspaceScope, HoldsForResultsWithoutAGraph) {
  Workspace workspace;
  {
    const WorkspaceScope with_gradients(&workspace);
    EXPECT_FALSE(has_workspace());
    (void)new_tensor({3}, at::kFloat);
  }
  EXPECT_EQ(workspace.num_tensors(), 0U);
  const at::NoGradGuard no_grad;
  const WorkspaceScope scope(&workspace);
  (void)new_tensor({3}, at::kFloat);
  {
    const WorkspaceScope none(nullptr);
    EXPECT_FALSE(has_workspace());
  }
  EXPECT_TRUE(has_workspace());
  EXPECT_EQ(workspace.num_tensors(), 1U);
}

TEST(WorkspaceScope, ChangesNoValue) {
  const auto x = at::arange(24, at::kFloat).view({1, 4, 6});
  const auto transposed = x.transpose(1, 2);
  const auto results = [&] {
    return std::vector{reshaped(x, {4, 6}),           reshaped(x, {2, 3, 4}),
                       strided(x, {4, 2}, {6, 1}, 3), strided(x.narrow(1, 1, 3), {3, 2}, {6, 1}, 2),
                       stacked({x[0], x[0] + 1.0}),   stacked({transposed, transposed}),
                       new_filled({2, 3}, 0.5, x),    new_filled({2}, 2.0, x.to(at::kDouble)),
                       in_type(x, at::kBFloat16),     in_type(transposed, at::kBFloat16),
                       in_type(x, at::kDouble)};
  };
  const auto plain = results();
  Workspace workspace;
  const at::NoGradGuard no_grad;
  const WorkspaceScope scope(&workspace);
  const auto from_workspace = results();
  for (size_t i = 0; i < plain.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(from_workspace[i].scalar_type(), plain[i].scalar_type());
    EXPECT_EQ(from_workspace[i].strides(), plain[i].strides());
    EXPECT_TRUE(from_workspace[i].equal(plain[i]));
  }
  EXPECT_TRUE(in_type(x, at::kFloat).is_same(x));
  const auto last_rows = x.narrow(1, 1, 3);
  EXPECT_TRUE(strided(last_rows, {3, 2}, {6, 1}, 2).equal(last_rows[0].narrow(1, 2, 2)));
}

}  // namespace
}  // namespace loopbank::ops
