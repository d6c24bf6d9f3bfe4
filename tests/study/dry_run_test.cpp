#include "loopbank/study/dry_run.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "loopbank/model/cost.h"

namespace loopbank {
namespace {

TEST(DryRun, GpuHoursFollowFromParametersTokensAndFlops) {
  const auto systems = study_systems(Scale::kPaper);
  const auto json = plan_to_json(systems);
  double hours = 0.0;
  for (size_t i = 0; i < systems.size(); ++i) {
    const auto& row = json["systems"][i];
    const double flops = 13'920'501'760.0 * model_cost(systems[i].run.model, 4096).training_flops;
    EXPECT_NEAR(row["gpu_hours"].get<double>(), flops / (0.4 * 989e12) / 3600, 1e-6);
    EXPECT_EQ(row["name"], systems[i].name);
    hours += row["gpu_hours"].get<double>();
  }
  EXPECT_NEAR(json["gpu_hours"].get<double>(), hours, 1e-6);
}

TEST(DryRun, OnlyTheSolversBaselinesCarryResiduals) {
  const auto json = plan_to_json(study_systems(Scale::kPaper));
  for (const auto& row : json["systems"]) {
    const auto name = row["name"].get<std::string>();
    const bool derived = name == "isoflop" || name == "isopar-m" || name == "isoflop-m";
    EXPECT_EQ(row.contains("residuals"), derived) << name;
  }
}

TEST(DryRun, TheTableHoldsEverySystem) {
  const auto systems = study_systems(Scale::kPaper);
  const auto text = format_plan(systems);
  for (const auto& system : systems) {
    EXPECT_NE(text.find(system.label), std::string::npos) << system.label;
  }
  EXPECT_NE(text.find("13.9 G tokens"), std::string::npos) << text;
  EXPECT_NE(text.find("332.1 M"), std::string::npos) << text;
}

}  // namespace
}  // namespace loopbank
