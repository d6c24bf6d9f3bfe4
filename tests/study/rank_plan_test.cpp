#include "loopbank/study/rank_plan.h"

#include <gtest/gtest.h>

#include <numeric>

#include "../support/test_directory.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

/// A system of the paper on a GPU: 3 loops, or dense; with memory banks or without.
RunConfig paper_run(int64_t loops, bool memory) {
  RunConfig config;
  config.model.max_loops = loops;
  config.model.local_memory_slots = memory ? 1024 : 0;
  config.model.global_memory_slots = memory ? 512 : 0;
  config.training.steps = 9655;
  config.training.batch = 352;
  config.training.micro_batch = 1;
  config.training.sequence_length = 4096;
  config.training.device = "cuda";
  return config;
}

RankPlanOptions fast() {
  return {.device = {.flops = 3.16e14},
          .network = {.bandwidth = 50e9, .ranks_a_node = 8, .node_bandwidth = 450e9}};
}

TEST(RankPlan, OneRankExchangesNothing) {
  const auto config = paper_run(3, false);
  const auto plan = plan_ranks(config, 1, {.device = {.flops = 1e14}});
  const double flops = model_cost(config.model, 4096).training_flops;
  EXPECT_NEAR(plan.step_seconds, 352 * 4096 * flops / 1e14, 1e-9 * plan.step_seconds);
  EXPECT_EQ(plan.exchange_seconds, 0.0);
  EXPECT_EQ(plan.efficiency, 1.0);
  EXPECT_NEAR(plan.run_seconds, 9655 * plan.step_seconds, 1e-6 * plan.run_seconds);
}

TEST(RankPlan, EveryGradientLeavesOnceAndInOrder) {
  for (const bool memory : {false, true}) {
    for (const int64_t loops : {0, 3}) {
      const auto model = paper_run(loops, memory && loops > 0).model;
      const auto gradients = gradients_in_order(model, 4096);
      double bytes = 0.0, before = 0.0;
      for (const auto& each : gradients) {
        bytes += each.bytes;
        EXPECT_GE(each.ready, before);
        before = each.ready;
      }
      EXPECT_NEAR(bytes, 4 * model_cost(model, 4096).parameters.total(), 1.0);
      EXPECT_EQ(gradients.back().ready, 1.0);
      EXPECT_GT(gradients.front().ready, 0.0);
      EXPECT_LT(gradients.front().ready, 0.3);
    }
  }
}

TEST(RankPlan, TheTimeOfAnExchangeIsItsBytesOverTheBandwidth) {
  const RankNetwork flat{.bandwidth = 1e9, .latency_seconds = 0.5};
  EXPECT_EQ(exchange_seconds(8e9, 1, flat), 0.0);
  EXPECT_DOUBLE_EQ(exchange_seconds(8e9, 2, flat), 0.5 + 4.0);
  EXPECT_DOUBLE_EQ(exchange_seconds(8e9, 8, flat), 0.5 + 7.0);
  // Nodes of 4: three slices stay within, four go out, both at once.
  RankNetwork nodes{.bandwidth = 1e9, .ranks_a_node = 4, .node_bandwidth = 3e9};
  EXPECT_DOUBLE_EQ(exchange_seconds(8e9, 8, nodes), 4.0);
  EXPECT_DOUBLE_EQ(exchange_seconds(8e9, 4, nodes), 2.0);
  // The ring's way out of a node is shared by four links; within it every rank passes on all but one.
  nodes.order = SumOrder::kRing;
  EXPECT_DOUBLE_EQ(exchange_seconds(8e9, 8, nodes), 7.0 / 3.0);
  nodes.bandwidth = 0.25e9;
  EXPECT_DOUBLE_EQ(exchange_seconds(8e9, 8, nodes), 7.0);
}

TEST(RankPlan, WhatIsSentBesideTheBackwardPassIsNotWaitedFor) {
  const auto config = paper_run(3, true);
  const auto plan = plan_ranks(config, 8, fast());
  // At least the weights' way back and the last gradient, that of the embedding.
  EXPECT_GT(plan.waited_seconds, plan.exchange_seconds / 2);
  EXPECT_LT(plan.waited_seconds, 0.8 * plan.exchange_seconds);
  EXPECT_NEAR(plan.overlap, 1 - plan.waited_seconds / plan.exchange_seconds, 1e-12);
  auto busy = fast();
  busy.network.free_share = 0.0;  // the cores that compute move the bytes
  const auto without = plan_ranks(config, 8, busy);
  EXPECT_DOUBLE_EQ(without.waited_seconds, plan.exchange_seconds);
  EXPECT_EQ(without.overlap, 0.0);
  // As many bytes leave without ZeRO, most of them beside the backward pass.
  auto ddp = fast();
  ddp.shards_optimizer = false;
  const auto unsharded = plan_ranks(config, 8, ddp);
  EXPECT_NEAR(unsharded.exchange_seconds, plan.exchange_seconds, 1e-12);
  EXPECT_LT(unsharded.waited_seconds, plan.waited_seconds);
  EXPECT_DOUBLE_EQ(unsharded.memory.total(), plan.unsharded_bytes);
  EXPECT_NEAR(plan.unsharded_bytes - plan.memory.total(),
              7 * model_cost(config.model, 4096).parameters.total(), 1.0);
}

TEST(RankPlan, TheSlowestRankHasThePassesThatDoNotDivideEvenly) {
  auto config = paper_run(3, false);
  const auto plan = plan_ranks(config, 64, fast());  // 352 = 5 x 64 + 32
  EXPECT_EQ(plan.passes, 6);
  EXPECT_LT(plan.efficiency, 5.5 / 6);
  const auto idle = plan_ranks(config, 1024, fast());
  EXPECT_EQ(idle.passes, 1);
  EXPECT_EQ(idle.idle_ranks, 672);
  config.training.batch = 4096;
  EXPECT_EQ(plan_ranks(config, 1024, fast()).idle_ranks, 0);
  EXPECT_GT(plan_ranks(config, 1024, fast()).efficiency, idle.efficiency);
}

TEST(RankPlan, ComputingAgainTakesUpToAThirdLonger) {
  auto config = paper_run(3, false);
  const double none = plan_ranks(config, 1, fast()).compute_seconds;
  config.training.recompute = "loop";
  const double again = plan_ranks(config, 1, fast()).compute_seconds;
  EXPECT_GT(again, 1.25 * none);
  EXPECT_LT(again, 4.0 / 3.0 * none);
}

TEST(RankPlan, MistakesAreToldInOneLine) {
  const auto refused = [](int64_t ranks, const RankPlanOptions& options) {
    return error_of(ErrorCode::kConfig,
                    [&] { (void)plan_ranks(paper_run(0, false), ranks, options); });
  };
  expect_contains(refused(0, fast()), "plan: expected ranks above 0, got 0.");
  expect_contains(refused(2, {.device = {.flops = 1e14}}),
                  "plan: expected bytes a second between ranks above 0, got 0.");
  expect_contains(refused(1, {}), "plan: expected FLOP/s of a rank above 0, got 0.");
}

}  // namespace
}  // namespace loopbank
