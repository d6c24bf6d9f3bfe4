#include "loopbank/infer/pace.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/infer/looping_model.h"

namespace loopbank {
namespace {

using testing::answer_alone;
using testing::looping_model;
using testing::request_of;
using testing::some_prompt;

/// Passes of a machine whose seconds are known, with as many prompts as the pace allows.
struct Machine {
  double fixed = 1.0;
  double per_text = 0.1;
  double per_prompt = 0.05;

  [[nodiscard]] double seconds(int64_t texts, int64_t prompts) const {
    return fixed + per_text * static_cast<double>(texts) +
           per_prompt * static_cast<double>(prompts);
  }
  int64_t pass(Pace& pace, int64_t texts) const {
    const auto prompts = pace.room(texts);
    pace.add(texts, prompts, seconds(texts, prompts));
    return prompts;
  }
};

TEST(Pace, GivesPromptsWhatMakesAPassTakeTwiceAsLong) {
  const Machine machine;
  Pace pace(2.0);
  for (int64_t i = 0; i < 40; ++i) {
    (void)machine.pass(pace, 10);
  }
  int64_t plain = 0;
  for (int64_t i = 0; i < 64; ++i) {
    const auto prompts = machine.pass(pace, 10);
    plain += prompts == 0 ? 1 : 0;
    EXPECT_TRUE(prompts == 0 || (prompts >= 39 && prompts <= 40)) << prompts;  // 2 / 0.05
  }
  EXPECT_EQ(plain, 4);
  EXPECT_NEAR(pace.seconds_of(10), 2.0, 1e-9);
}

TEST(Pace, KnowsWhatOtherNumbersOfTextsTake) {
  const Machine machine;
  Pace pace(2.0);
  for (int64_t i = 0; i < 200; ++i) {
    (void)machine.pass(pace, 4 + i % 3 * 8);
  }
  EXPECT_NEAR(pace.seconds_of(1), 1.1, 1e-6);
  EXPECT_NEAR(pace.seconds_of(64), 7.4, 1e-6);
}

TEST(Pace, FollowsAMachineThatChanges) {
  Pace pace(2.0);
  for (int64_t i = 0; i < 100; ++i) {
    (void)Machine{}.pass(pace, 10);
  }
  const Machine slow{.fixed = 1.0, .per_text = 0.1, .per_prompt = 0.5};
  for (int64_t i = 0; i < 100; ++i) {
    (void)slow.pass(pace, 10);
  }
  const auto prompts = slow.pass(pace, 10);
  EXPECT_GE(prompts, 3);
  EXPECT_LE(prompts, 5);
}

TEST(Pace, OnePassThatWasHeldUpChangesLittleAndPromptsAlwaysGoOn) {
  const Machine machine;
  Pace pace(2.0);
  for (int64_t i = 0; i < 100; ++i) {
    (void)machine.pass(pace, 10);
  }
  pace.add(10, 40, 5000.0);
  EXPECT_GE(pace.room(10), 10);
  pace.add(10, 0, 5000.0);
  EXPECT_LT(pace.seconds_of(10), 4.0);
  const Machine dear{.fixed = 1.0, .per_text = 0.1, .per_prompt = 1000.0};
  int64_t read = 0;
  for (int64_t i = 0; i < 64; ++i) {
    read += dear.pass(pace, 10);
  }
  EXPECT_GE(read, 60);
}

TEST(Pace, HasNoLimitWhereItIsToldSo) {
  Pace pace(std::numeric_limits<double>::infinity());
  EXPECT_EQ(pace.room(1), std::numeric_limits<int64_t>::max());
}

TEST(Pace, ChangesNoAnswer) {
  const auto model = looping_model();
  std::vector<Request> requests;
  for (uint64_t i = 0; i < 12; ++i) {
    requests.push_back(request_of(some_prompt(3 + static_cast<int64_t>(i) * 6, i), 9,
                                  i % 2 == 0 ? "cdf:0.7" : "all"));
    requests.back().score_from = 1;
  }
  std::vector<testing::Answer> expected;
  for (const auto& request : requests) {
    expected.push_back(answer_alone(model, request));
  }
  for (const double stretch : {1.001, 2.0, 50.0}) {
    Engine engine(model, {.batch_tokens = 40, .stretch = stretch});
    testing::Answers answers;
    std::vector<RequestId> ids;
    for (const auto& request : requests) {  // each comes while those before are written
      ids.push_back(engine.add(request));
      testing::take(engine.step(), answers);
    }
    while (!engine.idle()) {
      testing::take(engine.step(), answers);
    }
    for (size_t i = 0; i < ids.size(); ++i) {
      EXPECT_EQ((answers[{ids[i], 0}]), expected[i]) << stretch << " " << i;
    }
  }
}

}  // namespace
}  // namespace loopbank
