/// Every figure of the inner life against sums over tokens, one after another.

#include "loopbank/dissect/inside.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <string>

#include "loopbank/data/token_file.h"
#include "loopbank/model/cost.h"
#include "loopbank/train/validation.h"
#include "tests/dissect/inside_case.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::kLength;
using testing::kRows;
using testing::kText;
using testing::kTolerance;
using testing::mean_of;
using testing::measured;
using testing::model_of;
using testing::naive_of;
using testing::some_rows;
using testing::spread_of;

template <typename Statistic>
void expect_each(const ByLayerAndLoop& found,
                 const std::vector<std::vector<std::vector<double>>>& naive, Statistic statistic) {
  ASSERT_EQ(found.size(), naive.size());
  for (size_t l = 0; l < naive.size(); ++l) {
    ASSERT_EQ(found[l].size(), naive[l].size()) << "layer " << l;
    for (size_t t = 0; t < naive[l].size(); ++t) {
      EXPECT_NEAR(found[l][t], statistic(naive[l][t]), kTolerance) << "layer " << l << ", " << t;
    }
  }
}

TEST(Inside, FiguresByLayerAndLoopAreMeansOverTokens) {
  const auto model = model_of({3, 1, 2}, 4, 3);
  const auto rows = some_rows();
  const auto inside = measured(model, rows);
  const auto naive = naive_of(model, rows);
  EXPECT_EQ(inside.tokens, kRows * kLength);
  EXPECT_EQ(inside.layers, 3);
  EXPECT_EQ(inside.loops, 3);
  for (size_t l = 0; l < 3; ++l) {
    EXPECT_NEAR(inside.expected_loops[l], mean_of(naive.loops[l]), kTolerance) << l;
    EXPECT_NEAR(inside.expected_loops_spread[l], spread_of(naive.loops[l]), kTolerance) << l;
  }
  EXPECT_GT(inside.expected_loops_spread[0], 0.01);  // the tokens do differ
  EXPECT_EQ(inside.expected_loops_spread[1], 0.0);
  expect_each(inside.halting, naive.halting, mean_of);
  expect_each(inside.state_norm, naive.norm, mean_of);
  expect_each(inside.state_change, naive.change, mean_of);
  ASSERT_TRUE(inside.local_gate && inside.global_gate);
  expect_each(inside.local_gate->mean, naive.local, mean_of);
  expect_each(inside.local_gate->spread, naive.local, spread_of);
  expect_each(inside.global_gate->mean, naive.global, mean_of);
  expect_each(inside.global_gate->spread, naive.global, spread_of);
  EXPECT_GT(inside.local_gate->spread[0][0], 0.001);
}

TEST(Inside, HaltingSumsToOneAndGivesTheLoops) {
  const auto inside = measured(model_of({3}, 0, 0), some_rows());
  for (size_t l = 0; l < 3; ++l) {
    double sum = 0.0;
    double loops = 0.0;
    for (size_t t = 0; t < 3; ++t) {
      sum += inside.halting[l][t];
      loops += static_cast<double>(t + 1) * inside.halting[l][t];
    }
    EXPECT_NEAR(sum, 1.0, 1e-6);
    EXPECT_NEAR(loops, inside.expected_loops[l], 1e-5);
  }
}

TEST(Inside, ARouterThatAlwaysStopsTakesOneLoop) {
  const auto model = model_of({3}, 0, 0);
  const at::NoGradGuard no_grad;
  for (const auto* layer : {"layers.0", "layers.1", "layers.2"}) {
    model.parameters().get(std::string(layer) + ".router.weight").value.zero_();
    model.parameters().get(std::string(layer) + ".router.bias").value.fill_(60.0);
  }
  const auto inside = measured(model, some_rows());
  for (size_t l = 0; l < 3; ++l) {
    EXPECT_NEAR(inside.expected_loops[l], 1.0, 1e-6);
    EXPECT_NEAR(inside.expected_loops_spread[l], 0.0, 1e-6);
    EXPECT_NEAR(inside.halting[l][0], 1.0, 1e-6);
  }
  // Budgets then change nothing.
  EXPECT_NEAR(inside.bpb_by_loops[0].bpb, inside.bpb_by_loops[2].bpb, kTolerance);
}

TEST(Inside, LoopScalesAreSoftplusOfAlpha) {
  const auto model = model_of({2, 0, 3}, 0, 0);
  const at::NoGradGuard no_grad;
  model.parameters().get("layers.2.loop_scale").value.copy_(at::tensor({-7.0F, 0.0F, 2.0F}));
  const auto inside = measured(model, some_rows());
  ASSERT_TRUE(inside.loop_scale);
  EXPECT_EQ(inside.loop_scale->at(0).size(), 2U);
  EXPECT_TRUE(inside.loop_scale->at(1).empty());  // a dense layer among others
  const auto& scales = inside.loop_scale->at(2);
  ASSERT_EQ(scales.size(), 3U);
  EXPECT_NEAR(scales[0], 9.114665e-4, 1e-9);
  EXPECT_NEAR(scales[1], std::log(2.0), 1e-9);
  EXPECT_NEAR(scales[2], std::log(1.0 + std::exp(2.0)), 1e-9);
}

TEST(Inside, ALinearLoopScaleIsAlphaItself) {
  auto config = model_of({2, 0, 3}, 0, 0).config();
  config.loop_scale_kind = "linear";
  config.loop_scale_init = 0.0;
  config.first_loop_scale_init = 1.0;
  LanguageModel model(config);
  model.parameters().initialize(1);
  const auto inside = measured(model, some_rows());
  ASSERT_TRUE(inside.loop_scale);
  EXPECT_EQ(inside.loop_scale->at(2), (std::vector<double>{1.0, 0.0, 0.0}));
}

TEST(Inside, ClassesAreMeansOverTheirTokens) {
  const auto model = model_of({3, 0, 2}, 4, 3);
  const auto rows = some_rows();
  const auto inside = measured(model, rows);
  const auto naive = naive_of(model, rows);
  // Means over loops; layer 1 reads no bank.
  const auto gate = [](const std::vector<std::vector<double>>& layer, size_t i) {
    double sum = 0.0;
    for (const auto& loop : layer) {
      sum += loop[i];
    }
    return layer.empty() ? 0.0 : sum / static_cast<double>(layer.size());
  };
  struct Sums {
    int64_t tokens = 0;
    std::vector<double> loss;
    std::array<std::vector<double>, 3> loops, local, global;
  };
  std::map<TokenClass, Sums> by_class;
  for (int64_t row = 0; row < kRows; ++row) {
    std::vector<TokenId> ids;
    for (int64_t t = 0; t < kLength; ++t) {
      ids.push_back(rows.tokens[row][t].item<TokenId>());
    }
    ids.push_back(rows.targets[row][kLength - 1].item<TokenId>());
    const auto classes = classify_tokens(Tokenizer::bytes(), ids);
    for (int64_t t = 0; t < kLength; ++t) {
      const auto i = static_cast<size_t>(row * kLength + t);
      auto& read = by_class[classes[static_cast<size_t>(t)]];
      ++read.tokens;
      for (size_t l = 0; l < 3; ++l) {
        read.loops[l].push_back(naive.loops[l][i]);
        read.local[l].push_back(gate(naive.local[l], i));
        read.global[l].push_back(gate(naive.global[l], i));
      }
      by_class[classes[static_cast<size_t>(t) + 1]].loss.push_back(naive.loss[i]);
    }
  }
  ASSERT_EQ(inside.token_classes.size(), 6U);
  double share = 0.0;
  for (const auto& found : inside.token_classes) {
    const auto& sums = by_class.at(found.token_class);
    const auto name = token_class_name(found.token_class);
    EXPECT_EQ(found.tokens, sums.tokens) << name;
    ASSERT_TRUE(found.loss) << name;
    EXPECT_NEAR(*found.loss, mean_of(sums.loss), kTolerance) << name;
    for (size_t l = 0; l < 3; ++l) {
      EXPECT_NEAR(found.expected_loops[l], mean_of(sums.loops[l]), kTolerance) << name;
      EXPECT_NEAR(found.local_gate[l], mean_of(sums.local[l]), kTolerance) << name;
      EXPECT_NEAR(found.global_gate[l], mean_of(sums.global[l]), kTolerance) << name;
    }
    EXPECT_EQ(found.local_gate[1], 0.0) << name;
    share += found.share;
  }
  EXPECT_NEAR(share, 1.0, 1e-12);
}

TEST(Inside, AClassThatIsNeverPredictedHasNoLoss) {
  // The digit begins the row.
  const auto ids = at::tensor(std::vector<int64_t>{'9', ' ', 'a', 'b', 'c'}, at::kLong);
  const Batch rows{.tokens = ids.narrow(0, 0, 4).view({1, 4}),
                   .targets = ids.narrow(0, 1, 4).view({1, 4})};
  const auto inside = measured(model_of({2}, 0, 0), rows);
  ASSERT_EQ(inside.token_classes.size(), 3U);  // digits, other words, other
  EXPECT_EQ(inside.token_classes[0].token_class, TokenClass::kDigits);
  EXPECT_FALSE(inside.token_classes[0].loss);
  EXPECT_EQ(inside.token_classes[0].tokens, 1);
  EXPECT_TRUE(inside.token_classes[1].loss);
  EXPECT_TRUE(inside.token_classes[1].local_gate.empty());
}

TEST(Inside, BudgetsAreScoredAsValidationDoes) {
  const testing::TestDirectory directory;
  const auto model = model_of({3, 1, 2}, 4, 0);
  const auto tokenizer = Tokenizer::bytes();
  const auto path = directory.path() / "text.tokens";
  TokenFileWriter writer(path, tokenizer.vocab_size(), tokenizer.hash());
  for (int i = 0; i < 2; ++i) {
    auto ids = tokenizer.encode(kText);
    ids.push_back(tokenizer.end_of_text());
    writer.append(ids);
  }
  writer.finish();
  const auto source = std::make_shared<const TokenFile>(path.string());
  TrainingConfig training;
  training.sequence_length = kLength;
  training.validation_rows = 8;
  training.micro_batch = 3;
  const auto metrics = Validator(source, tokenizer, training).validate(model, /*step=*/1, {});
  const auto inside = measured(model, SequentialRows(source, kLength).rows(0, 8));
  ASSERT_EQ(inside.bpb_by_loops.size(), 3U);
  for (const auto& budget : inside.bpb_by_loops) {
    EXPECT_NEAR(budget.loss, metrics.loss_by_loops.at(budget.max_loops), kTolerance);
    EXPECT_NEAR(budget.bpb / budget.loss, metrics.bpb / metrics.loss, 1e-6);
    EXPECT_EQ(budget.flops_per_token, forward_flops(model.config(), kLength, budget.max_loops));
  }
  EXPECT_NEAR(inside.bpb_by_loops.back().bpb, metrics.bpb, 2 * kTolerance);
  EXPECT_GT(std::abs(inside.bpb_by_loops[0].loss - inside.bpb_by_loops[2].loss), 10 * kTolerance);
  EXPECT_NEAR(mean_of(inside.expected_loops), metrics.mean_loops, kTolerance);
}

}  // namespace
}  // namespace loopbank
