#include "loopbank/study/power.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "loopbank/support/random.h"
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

TEST(Power, OfNoEffectIsTheLevel) {
  EXPECT_NEAR(power_of(0.0, 0.3, 7.0), 0.05, 1e-9);
  EXPECT_NEAR(power_of(0.0, 2.0, 2.0), 0.05, 1e-9);
}

TEST(Power, ManyDegreesOfFreedomAreTheNormalTest) {
  // P(|Z + d| > 1.959964) = 0.8 at d = 1.959964 + 0.841621, but for the other tail.
  EXPECT_NEAR(power_of(2.801585, 1.0, 1e6), 0.8, 1e-4);
  EXPECT_NEAR(smallest_effect(0.5, 1e6), 0.5 * 2.801585, 1e-4);
}

TEST(Power, IsTheShareOfStudiesThatSeeTheEffect) {
  // 4000 studies of five seeds, effect 1.5 deviations: a share of 0.70 moves by 0.007 of chance.
  RandomStream random(20260308);
  constexpr int kStudies = 4000;
  int seen = 0;
  for (int study = 0; study < kStudies; ++study) {
    std::vector<double> differences(5);
    for (auto& difference : differences) {
      difference = 1.5 + std::sqrt(-2.0 * std::log(1.0 - random.uniform())) *
                             std::cos(2.0 * std::numbers::pi * random.uniform());
    }
    seen += student_difference(differences)->excludes_zero() ? 1 : 0;
  }
  EXPECT_NEAR(double(seen) / kStudies, power_of(1.5, 1.0 / std::sqrt(5.0), 4.0), 0.025);
}

TEST(SmallestEffect, HasThePowerThatIsWanted) {
  for (const double degrees_of_freedom : {1.0, 2.0, 7.0, 30.5}) {
    const double effect = smallest_effect(0.2, degrees_of_freedom);
    EXPECT_NEAR(power_of(effect, 0.2, degrees_of_freedom), kWantedPower, 1e-6)
        << degrees_of_freedom;
    EXPECT_EQ(power_of(-effect, 0.2, degrees_of_freedom),
              power_of(effect, 0.2, degrees_of_freedom));
  }
}

TEST(SeedsNeeded, AreThoseFromWhichThePowerIsReached) {
  const SeedScatter scatter{.deviation = 0.1};
  for (const double effect : {0.05, 0.1, 0.3}) {
    const auto needed = seeds_needed(effect, scatter);
    ASSERT_TRUE(needed);
    EXPECT_LE(smallest_effect(scatter, *needed), effect);
    if (*needed > 2) {
      EXPECT_GT(smallest_effect(scatter, *needed - 1), effect);
    }
    EXPECT_EQ(seeds_needed(-effect, scatter), needed);
  }
  EXPECT_EQ(seeds_needed(100.0, scatter), 2) << "one seed tells nothing";
  EXPECT_FALSE(seeds_needed(1e-4, scatter));
}

TEST(SeedsNeeded, NoNumberOfSeedsTakesTheNoiseOfSharedQuestionsAway) {
  // 2.8 errors of the questions alone are 0.28.
  EXPECT_FALSE(seeds_needed(0.27, {.deviation = 0.1, .lasting_variance = 0.01}));
  const auto needed = seeds_needed(0.3, {.deviation = 0.1, .lasting_variance = 0.01});
  ASSERT_TRUE(needed);
  EXPECT_GT(*needed, seeds_needed(0.3, {.deviation = 0.1}));
}

}  // namespace
}  // namespace loopbank
