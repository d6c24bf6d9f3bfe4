#include "loopbank/study/systems.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "loopbank/model/cost.h"
#include "loopbank/study/plan.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

fs::path preset(std::string_view folder, const std::string& name) {
  return fs::path(LOOPBANK_SOURCE_DIR) / "configs" / folder / (name + ".toml");
}

/// A dense model does not read what its preset inherits about loops.
RunConfig without_idle_settings(RunConfig run) {
  if (run.model.most_loops() == 0) {
    run.model = dense_twin(run.model);
  }
  return run;
}

double parameters_in_millions(const System& system) {
  return make_plan(system.run).cost.parameters.total() / 1e6;
}

std::map<std::string, System> by_name(Scale scale) {
  std::map<std::string, System> systems;
  for (auto& system : study_systems(scale)) {
    systems.emplace(system.name, system);
  }
  return systems;
}

TEST(StudySystems, PresetsAreWhatTheSolverDerives) {
  for (const auto scale : {Scale::kDemo, Scale::kSmall, Scale::kPaper}) {
    for (const auto& system : study_systems(scale)) {
      SCOPED_TRACE(fmt::format("{}/{}", name_of(scale), system.name));
      const auto loaded = load_run_config(preset(name_of(scale), system.name));
      EXPECT_EQ(to_toml(without_idle_settings(loaded)), to_toml(without_idle_settings(system.run)));
    }
  }
}

TEST(StudySystems, NoPresetStandsBesideTheTenAndTheirBase) {
  for (const auto scale : {Scale::kDemo, Scale::kSmall, Scale::kPaper}) {
    const auto folder = preset(name_of(scale), "base").parent_path();
    EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 11)
        << folder;
  }
}

TEST(StudySystems, PaperPresetsReproduceThePapersTable) {
  const std::map<std::string, double> millions = {
      {"isopar", 162.2},  {"loop3", 162.2},   {"loop5", 162.2},  {"loop7", 162.2},
      {"isoflop", 332.1}, {"mem-gm3", 210.2}, {"mem-g0", 210.2}, {"mem-g3", 210.2}};
  auto systems = by_name(Scale::kPaper);
  for (const auto& [name, expected] : millions) {
    EXPECT_NEAR(parameters_in_millions(systems.at(name)), expected, 0.05) << name;
  }
  EXPECT_NEAR(parameters_in_millions(systems.at("isopar-m")), 211, 1.0);
  EXPECT_NEAR(parameters_in_millions(systems.at("isoflop-m")), 481, 1.0);
  EXPECT_EQ(systems.at("isopar-m").run.model.intermediate_size, 3840);
  EXPECT_EQ(systems.at("isoflop").run.model.num_hidden_layers, 36);
  EXPECT_EQ(systems.at("isoflop-m").run.model.num_hidden_layers, 36);
  EXPECT_EQ(make_plan(systems.at("loop7").run).tokens, 13'920'501'760.0);
}

TEST(StudySystems, OneStudyTrainsEverySystemOnTheSameTokens) {
  for (const auto scale : {Scale::kDemo, Scale::kSmall, Scale::kPaper}) {
    const auto systems = study_systems(scale);
    ASSERT_EQ(systems.size(), 10U);
    for (const auto& system : systems) {
      EXPECT_EQ(system.run.training, systems.front().run.training) << system.name;
      EXPECT_EQ(system.run.data, systems.front().run.data) << system.name;
      EXPECT_EQ(system.run.schedule, systems.front().run.schedule) << system.name;
      EXPECT_EQ(system.run.optimizer, systems.front().run.optimizer) << system.name;
    }
  }
}

TEST(StudySystems, MatchedBaselinesAreNearAtEveryScale) {
  for (const auto scale : {Scale::kDemo, Scale::kSmall, Scale::kPaper}) {
    auto systems = by_name(scale);
    EXPECT_LT(std::abs(systems.at("isopar-m").baseline->parameters.residual()), 0.01)
        << name_of(scale);
    EXPECT_LT(std::abs(systems.at("isoflop").baseline->forward_flops.residual()), 0.01)
        << name_of(scale);
    EXPECT_LT(std::abs(systems.at("isoflop-m").baseline->forward_flops.residual()), 0.1)
        << name_of(scale);
  }
}

TEST(StudySystems, DemoModelsStayUnderThreeMillionParameters) {
  for (const auto& system : study_systems(Scale::kDemo)) {
    EXPECT_LT(parameters_in_millions(system), 3.0) << system.name;
  }
}

TEST(StudySystems, SmallModelsHoldAboutThirtyMillionParameters) {
  auto systems = by_name(Scale::kSmall);
  EXPECT_NEAR(parameters_in_millions(systems.at("isopar")), 30, 2);
  EXPECT_NEAR(parameters_in_millions(systems.at("mem-g3")), 33, 2);
}

TEST(StudySystems, OverridesHoldForEverySystemAndForTheSolver) {
  const auto systems =
      study_systems(Scale::kDemo, {"training.steps=3", "model.num_hidden_layers=2"});
  for (const auto& system : systems) {
    EXPECT_EQ(system.run.training.steps, 3) << system.name;
    const bool deep = system.name.starts_with("isoflop");
    EXPECT_EQ(system.run.model.num_hidden_layers, deep ? 6 : 2) << system.name;
  }
}

TEST(ChooseSystems, NamesKeepTheTablesOrderAndMistakesAreNamed) {
  const auto chosen = choose_systems(study_systems(Scale::kDemo), {"mem-g3", "isopar"});
  ASSERT_EQ(chosen.size(), 2U);
  EXPECT_EQ(chosen[0].name, "isopar");
  EXPECT_EQ(choose_systems(study_systems(Scale::kDemo), {}).size(), 10U);
  try {
    (void)choose_systems(study_systems(Scale::kDemo), {"lop3"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("\"lop3\". Did you mean \"loop3\"?"),
              std::string::npos)
        << error.what();
  }
}

TEST(BenchPresets, LoadAndStandForTheirNames) {
  const auto config = [](const char* name) { return load_run_config(preset("bench", name)); };
  EXPECT_EQ(config("loop3-d256").model.hidden_size, 256);
  EXPECT_EQ(config("loop3-d256").model.most_loops(), 3);
  EXPECT_FALSE(config("loop3-d256").model.has_memory());
  EXPECT_EQ(config("mem-d256").model.local_memory_slots, 128);
  EXPECT_EQ(config("loop3-d768").training.sequence_length, 512);
  EXPECT_EQ(config("mem-d768").model.global_memory_slots, 512);
  EXPECT_EQ(config("dense-d768").model.most_loops(), 0);
  EXPECT_EQ(config("dense-d768").model.vocab_size, 50304);
}

}  // namespace
}  // namespace loopbank
