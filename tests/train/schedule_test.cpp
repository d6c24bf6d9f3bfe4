#include "loopbank/train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace loopbank {
namespace {

ScheduleConfig schedule(const std::string& name, double warmup, double decay = 0.0) {
  return {.name = name,
          .initial_rate = 1.0,
          .peak_rate = 3.0,
          .final_rate = 0.0,
          .warmup_fraction = warmup,
          .decay_fraction = decay};
}

void expect_rates(const ScheduleConfig& config, const std::vector<double>& expected) {
  const auto steps = static_cast<int64_t>(expected.size());
  for (int64_t step = 1; step <= steps; ++step) {
    EXPECT_NEAR(learning_rate_at(config, step, steps), expected[static_cast<size_t>(step - 1)],
                1e-12)
        << "step " << step;
  }
}

// The peak is at s = 0.4 * 10 - 1 = 3: thirds of a half turn up, sixths down.
TEST(OneCycle, RisesAndFallsAlongCosines) {
  const double root = std::sqrt(3.0) / 2.0;  // cos 30 degrees
  expect_rates(schedule("one_cycle", 0.4), {1.0, 1.5, 2.5, 3.0, 1.5 * (1 + root), 1.5 * 1.5, 1.5,
                                            1.5 * 0.5, 1.5 * (1 - root), 0.0});
}

TEST(OneCycle, AWarmupBelowOneStepStartsAtThePeak) {
  expect_rates(schedule("one_cycle", 0.1), {3.0, 1.5, 0.0});
  expect_rates(schedule("one_cycle", 0.0), {3.0, 1.5, 0.0});
}

TEST(OneCycle, AWarmupOfAllStepsEndsAtThePeak) {
  expect_rates(schedule("one_cycle", 1.0), {1.0, 2.0, 3.0});
}

TEST(OneCycle, ARunOfOneStepTakesThePeak) {
  expect_rates(schedule("one_cycle", 0.01), {3.0});
}

// SPEC 3: 2.912e-4 -> 2.912e-3 over the first 1 % of 9655 steps, then back to 2.912e-4.
TEST(OneCycle, ThePapersScheduleHasItsThreeRates) {
  const ScheduleConfig paper;
  EXPECT_DOUBLE_EQ(learning_rate_at(paper, 1, 9655), 2.912e-4);
  EXPECT_NEAR(learning_rate_at(paper, 97, 9655), 2.912e-3, 1e-7);
  EXPECT_LT(learning_rate_at(paper, 96, 9655), learning_rate_at(paper, 97, 9655));
  EXPECT_GT(learning_rate_at(paper, 97, 9655), learning_rate_at(paper, 98, 9655));
  EXPECT_DOUBLE_EQ(learning_rate_at(paper, 9655, 9655), 2.912e-4);
}

TEST(WarmupStableDecay, RisesStaysAndFallsAlongLines) {
  expect_rates(schedule("warmup_stable_decay", 0.2, 0.4),
               {1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 2.25, 1.5, 0.75, 0.0});
}

TEST(WarmupStableDecay, WithoutWarmupAndDecayStaysAtThePeak) {
  expect_rates(schedule("warmup_stable_decay", 0.0, 0.0), {3.0, 3.0, 3.0});
}

TEST(PonderWeight, RisesFromZeroInALineAndStays) {
  const std::vector<double> expected = {0.0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4};
  for (int64_t step = 1; step <= 10; ++step) {
    EXPECT_NEAR(ponder_weight_at(0.4, 0.4, step, 10), expected[static_cast<size_t>(step - 1)],
                1e-12)
        << "step " << step;
  }
  EXPECT_EQ(ponder_weight_at(0.4, 0.0, 1, 10), 0.4) << "without a warm-up";
  EXPECT_EQ(ponder_weight_at(0.0, 0.5, 7, 10), 0.0);
}

}  // namespace
}  // namespace loopbank
