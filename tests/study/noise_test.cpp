#include "loopbank/study/noise.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../support/test_directory.h"
#include "loopbank/study/results_json.h"
#include "loopbank/study/table.h"
#include "loopbank/support/settings.h"
#include "report_sample.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

TEST(ShippedNoise, OfTheSmallStudyIsKnown) {
  const auto noise = shipped_noise(study_preset(Scale::kSmall));
  EXPECT_EQ(noise.steps, 1200);
  EXPECT_EQ(noise.source, "3 seeds of scale small, 2026-11-25");
  // docs/study.md: [-0.239, -0.039], half of it times sqrt(3) / 4.303.
  EXPECT_NEAR(noise.deviation({"loop3", "isopar", "facts_bpb"}).value(), 0.0403, 1e-4);
  EXPECT_EQ(noise.deviation({"isopar", "loop3", "facts_bpb"}),
            noise.deviation({"loop3", "isopar", "facts_bpb"}));
  EXPECT_FALSE(noise.deviation({"loop3", "isopar", "facts_accuracy"}));
  EXPECT_FALSE(noise.deviation({"loop3", "nobody", "facts_bpb"}));
}

TEST(ShippedNoise, OfOtherSettingsIsNotKnown) {
  EXPECT_EQ(shipped_noise(study_preset(Scale::kSmall, {"training.steps=600"})).source, "");
  EXPECT_EQ(shipped_noise(study_preset(Scale::kSmall, {"model.hidden_size=48"})).source, "");
  EXPECT_EQ(shipped_noise(study_preset(Scale::kSmall, {"benchmark.people=96"})).source, "");
  for (const char* setting :
       {"schedule.final_rate=1e-5", "training.precision=\"fp32\"", "optimizer.weight_decay=0.2",
        "model.max_loops=5", "system.isotime.by=\"flops\"", "study.width_step=8"}) {
    EXPECT_EQ(shipped_noise(study_preset(Scale::kSmall, {setting})).source, "") << setting;
  }
  // What a difference does not hang on may be as it likes.
  EXPECT_NE(shipped_noise(study_preset(Scale::kSmall, {"study.seeds=[7]"})).source, "");
  EXPECT_NE(shipped_noise(study_preset(Scale::kSmall, {"training.checkpoint_every=100"})).source,
            "");
}

TEST(ShippedNoise, ABrokenTableIsNamed) {
  const auto error = [](const std::string& line) {
    return error_of(ErrorCode::kConfig, [&] {
      (void)noise_of_text(
          "[scale.x]\npart = \"benchmark\"\nseeds = 3\nsteps = 960\ndeviations = ['" + line +
              "']\n",
          study_preset(Scale::kDemo));
    });
  };
  expect_contains(error("a b c"),
                  "expected \"SYSTEM OTHER COLUMN DEVIATION\", the last above 0, got "
                  "\"a b c\".");
  expect_contains(error("a b c 0"), "got \"a b c 0\".");
  expect_contains(error("a b c 1 d"), "got \"a b c 1 d\".");
}

TEST(Noise, WhatIsWrittenIsReadBackForTheSameSettings) {
  auto result = study_result_from_json(testing::full_results());
  auto config = study_preset(Scale::kDemo, {"training.steps=2000"});
  auto& part = result.parts[0];
  part.settings = write_toml(config.sections());
  const auto text = noise_toml(result, part);
  EXPECT_EQ(text.find("training.seed"), std::string::npos);
  const auto noise = noise_of_text(text, config);
  EXPECT_EQ(noise.seeds, 3);
  EXPECT_EQ(noise.steps, 2000);
  const ComparedPair pair{"loop3", "isopar", "reasoning_bpb"};
  EXPECT_NEAR(noise.deviation(pair).value(), part.comparisons.at(pair).seeds->deviation, 1e-4);
  EXPECT_EQ(noise_of_text(text, study_preset(Scale::kDemo)).source, "");
}

TEST(Noise, PartsOfOneStudyHaveTablesOfTheirOwn) {
  auto result = study_result_from_json(testing::full_results());
  const auto config = study_preset(Scale::kDemo, {"training.steps=2000"});
  std::string text;
  for (auto& part : result.parts) {
    part.settings = write_toml(StudyConfig(config).sections());
    text += noise_toml(result, part);
  }
  expect_contains(text, "[scale.small-benchmark]");
  expect_contains(text, "[scale.small-text]");
  expect_contains(noise_of_text(text, config).source, "3 seeds of scale small-benchmark, ");
}

TEST(Noise, OfASystemOfOnesOwnItsSettingsCount) {
  auto result = study_result_from_json(testing::full_results());
  auto config = study_preset(Scale::kSmall, {"training.steps=2000"});
  auto& part = result.parts[0];
  part.settings = write_toml(config.sections());
  const auto text = noise_toml(result, part);
  EXPECT_NE(noise_of_text(text, config).source, "");
  auto other = config;
  other.systems.emplace_back().name = "loop3-shy";  // that the table knows nothing of
  EXPECT_NE(noise_of_text(text, other).source, "");
  config.systems.back().set.emplace_back("model.rope_theta=5000");
  EXPECT_EQ(noise_of_text(text, config).source, "");
}

TEST(Noise, OfTooFewSeedsThereIsNone) {
  const auto result = study_result_from_json(testing::poor_results());
  expect_contains(error_of(ErrorCode::kData, [&] { (void)noise_toml(result, result.parts.at(0)); }),
                  "expected results of 3 seeds or more with their settings, got no pair");
}

/// One seed, with what three others scattered by.
nlohmann::ordered_json one_seed(double deviation, int64_t steps) {
  auto json = testing::benchmark_part();
  json["seeds"] = {1};
  for (auto& system : json["systems"]) {
    system["seeds"] = {1};
    for (auto& [other, columns] : system["against"].items()) {
      for (auto& [key, comparison] : columns.items()) {
        comparison.erase("seeds");
      }
    }
  }
  json["noise"] = {{"source", "8 seeds of scale demo, 2026-11-29"},
                   {"seeds", 8},
                   {"steps", steps},
                   {"deviations", {{"isopar", {{"loop3", {{"reasoning_bpb", deviation}}}}}}}};
  return json;
}

TEST(Noise, TellsAStudyOfOneSeedHowManyItTakes) {
  const auto part = testing::typed(one_seed(0.3, 2000));
  const auto& comparison = part.comparisons.at({"loop3", "isopar", "reasoning_bpb"});
  EXPECT_EQ(comparison.verdict, Verdict::kOpen);
  EXPECT_EQ(comparison.earlier_deviation, 0.3);
  const auto claims = format_claims(part);
  expect_contains(claims, "RQ1 not told apart (1 seed; an effect of this size takes about ");
  expect_contains(claims, "One seed was trained: nothing is called a finding");
  expect_contains(claims, "As measured by 8 seeds of scale demo, 2026-11-29 with these settings");
  // Of systems that trained for longer it says nothing.
  expect_contains(format_claims(testing::typed(one_seed(0.3, 960))),
                  "RQ1 not told apart (1 seed; how many it takes is not known: run three)");
}

}  // namespace
}  // namespace loopbank
