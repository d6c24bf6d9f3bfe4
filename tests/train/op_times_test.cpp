#include "loopbank/train/op_times.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

namespace loopbank {
namespace {

const OpTime* find(const std::vector<OpTime>& ops, const std::string& name) {
  const auto found =
      std::find_if(ops.begin(), ops.end(), [&](const OpTime& op) { return op.name == name; });
  return found == ops.end() ? nullptr : &*found;
}

TEST(OpTimes, SumsOfAllOperatorsAreTheTimeThatPassed) {
  auto a = at::ones({400, 400});
  a.set_requires_grad(true);
  OpTimes times;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 3; ++i) {
    at::linear(a, a).square().sum().backward();
  }
  const double passed =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto ops = times.finish();
  double sum = 0.0;
  for (const auto& op : ops) {
    EXPECT_GE(op.seconds, 0.0) << op.name;
    sum += op.seconds;
  }
  // Operators that call others count once: their own time alone.
  EXPECT_LE(sum, passed);
  EXPECT_GT(sum, 0.3 * passed);
  EXPECT_TRUE(std::is_sorted(ops.begin(), ops.end(), [](const OpTime& x, const OpTime& y) {
    return x.seconds > y.seconds;
  }));
  ASSERT_NE(find(ops, "aten::linear"), nullptr);
  EXPECT_EQ(find(ops, "aten::linear")->calls, 3);
  ASSERT_NE(find(ops, "aten::mm"), nullptr) << "the backward pass was not watched";
  EXPECT_GT(find(ops, "aten::mm")->seconds, find(ops, "aten::linear")->seconds);
}

TEST(OpTimes, NothingIsWatchedBeforeAndBehind) {
  (void)at::ones({3}).cumsum(0);
  OpTimes times;
  (void)at::ones({3}).erf();
  EXPECT_NE(find(times.finish(), "aten::erf"), nullptr);
  (void)at::ones({3}).erf();
  const auto ops = times.finish();
  EXPECT_EQ(find(ops, "aten::erf")->calls, 1);
  EXPECT_EQ(find(ops, "aten::cumsum"), nullptr);
}

}  // namespace
}  // namespace loopbank
