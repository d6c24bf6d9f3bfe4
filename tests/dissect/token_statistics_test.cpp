#include "loopbank/dissect/token_statistics.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

namespace loopbank {
namespace {

TEST(TokenMoments, BatchesMergeIntoTheMomentsOfAll) {
  auto generator = at::detail::createCPUGenerator(3);
  const auto values = at::randn({2, 3, 7}, generator) * 4 + 1000;
  TokenMoments moments;
  moments.add(values.narrow(2, 0, 1));
  moments.add(values.narrow(2, 1, 4));
  moments.add(values.narrow(2, 5, 2));
  const auto all = values.to(at::kDouble).flatten(1);
  for (int64_t k = 0; k < 2; ++k) {
    const auto i = static_cast<size_t>(k);
    EXPECT_NEAR(moments.mean()[i], all[k].mean().item<double>(), 1e-9);
    EXPECT_NEAR(moments.spread()[i], all[k].std(/*unbiased=*/false).item<double>(), 1e-9);
  }
}

TEST(TokenMoments, OneValueForAllHasNoSpread) {
  TokenMoments moments;
  EXPECT_TRUE(moments.mean().empty());
  EXPECT_TRUE(moments.spread().empty());
  moments.add(at::ones({1, 5}));
  moments.add(at::ones({1, 2}));
  EXPECT_EQ(moments.mean(), std::vector<double>{1.0});
  EXPECT_EQ(moments.spread(), std::vector<double>{0.0});
}

TEST(ClassMeans, EachClassHasTheMeanOfItsTokens) {
  ClassMeans means(3);
  EXPECT_TRUE(means.mean(0).empty());
  means.add(at::tensor({1.0, 2.0, 3.0, 10.0, 20.0, 30.0}).view({2, 3}),
            at::tensor({2, 0, 2}, at::kLong));
  means.add(at::tensor({5.0, 50.0}).view({2, 1}), at::tensor({2}, at::kLong));
  EXPECT_EQ(means.count(0), 1);
  EXPECT_EQ(means.count(1), 0);
  EXPECT_EQ(means.count(2), 3);
  EXPECT_EQ(means.mean(0), (std::vector<double>{2.0, 20.0}));
  EXPECT_EQ(means.mean(2), (std::vector<double>{3.0, 30.0}));
}

}  // namespace
}  // namespace loopbank
