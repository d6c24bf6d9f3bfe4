#include "loopbank/study/systems.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <map>

#include "../support/test_directory.h"
#include "loopbank/model/cost.h"
#include "loopbank/study/plan.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 3> kScales = {"demo", "small", "paper"};

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

/// The ten systems that configs/<scale>/ holds as runs of their own: the scale's base and slots,
/// without what a study of the embedded benchmark makes smaller.
std::vector<System> preset_systems(std::string_view scale) {
  StudyConfig config;
  config.run = load_run_config(preset(scale, "base"));
  config.study.local_slots = scale == "demo" ? 64 : scale == "small" ? 256 : 1024;
  config.study.global_slots = config.study.local_slots / 2;
  config.study.width_step = config.study.local_slots / 4;
  auto systems = study_systems(config);
  for (auto& system : systems) {
    system.run.training.seed = config.run.training.seed;
  }
  return systems;
}

std::map<std::string, System> by_name(std::string_view scale) {
  std::map<std::string, System> systems;
  for (auto& system : preset_systems(scale)) {
    systems.emplace(system.name, system);
  }
  return systems;
}

/// A study file on top of the demo's.
StudyConfig study_of(const testing::TestDirectory& directory, const std::string& text) {
  return load_study_config(directory.write(
      "study.toml",
      fmt::format("base = \"{}/configs/study/demo.toml\"\n{}", LOOPBANK_SOURCE_DIR, text)));
}

TEST(StudySystems, PresetsAreWhatTheSolverDerives) {
  for (const auto* scale : kScales) {
    for (const auto& system : preset_systems(scale)) {
      SCOPED_TRACE(fmt::format("{}/{}", scale, system.name));
      const auto loaded = load_run_config(preset(scale, system.name));
      EXPECT_EQ(to_toml(without_idle_settings(loaded)), to_toml(without_idle_settings(system.run)));
    }
  }
}

TEST(StudySystems, NoPresetStandsBesideTheTenAndTheirBase) {
  for (const auto* scale : kScales) {
    const auto folder = preset(scale, "base").parent_path();
    EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 11)
        << folder;
  }
}

TEST(StudySystems, PaperPresetsReproduceThePapersTable) {
  const std::map<std::string, double> millions = {
      {"isopar", 162.2},  {"loop3", 162.2},   {"loop5", 162.2},  {"loop7", 162.2},
      {"isoflop", 332.1}, {"mem-gm3", 210.2}, {"mem-g0", 210.2}, {"mem-g3", 210.2}};
  auto systems = by_name("paper");
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
    ASSERT_GE(systems.size(), 10U);
    for (const auto& system : systems) {
      EXPECT_EQ(system.run.training, systems.front().run.training) << system.name;
      EXPECT_EQ(system.run.data, systems.front().run.data) << system.name;
      EXPECT_EQ(system.run.schedule, systems.front().run.schedule) << system.name;
      auto optimizer = system.run.optimizer;
      if (system.group == "start") {  // whose subject is how the loop scales start and move
        optimizer.loop_scale_multiplier = systems.front().run.optimizer.loop_scale_multiplier;
      }
      EXPECT_EQ(optimizer, systems.front().run.optimizer) << system.name;
    }
  }
}

TEST(StudySystems, MatchedBaselinesAreNearAtEveryScale) {
  for (const auto scale : {Scale::kDemo, Scale::kSmall, Scale::kPaper}) {
    std::map<std::string, MatchedBaseline> baselines;
    for (const auto& system : study_systems(scale)) {
      if (system.match) {
        baselines.emplace(system.name, system.match->baseline);
      }
    }
    EXPECT_LT(std::abs(baselines.at("isopar-m").parameters.residual()), 0.01) << name_of(scale);
    EXPECT_LT(std::abs(baselines.at("isoflop").forward_flops.residual()), 0.01) << name_of(scale);
    EXPECT_LT(std::abs(baselines.at("isoflop-m").forward_flops.residual()), 0.1) << name_of(scale);
  }
}

TEST(StudySystems, DemoModelsStayUnderThreeMillionParameters) {
  for (const auto& system : study_systems(Scale::kDemo)) {
    EXPECT_LT(parameters_in_millions(system), 3.0) << system.name;
  }
}

TEST(StudySystems, SmallModelsHoldAboutThirtyMillionParameters) {
  auto systems = by_name("small");
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

TEST(StudySystems, AStudyFileDropsAddsAndMatches) {
  const testing::TestDirectory directory;
  const auto config = study_of(directory,
                               "[study]\nsystems = [\"mem-g0\", \"isopar\"]\n"
                               "[system.grid-5x32]\ngroup = \"grid\"\nlike = \"mem-g0\"\n"
                               "label = \"5 loops, 32 slots\"\nseeds = [4]\n"
                               "set = [\"model.max_loops=5\", \"model.local_memory_slots=32\"]\n"
                               "[system.isotime]\nmatch = \"grid-5x32\"\nby = \"time\"\n");
  const auto systems = study_systems(config);
  ASSERT_EQ(systems.size(), 4U);
  EXPECT_EQ(systems[0].name, "isopar");  // the paper's order
  EXPECT_EQ(systems[1].name, "mem-g0");
  const auto& grid = systems[2];
  EXPECT_EQ(grid.label, "5 loops, 32 slots");
  EXPECT_EQ(grid.group, "grid");
  EXPECT_EQ(grid.run.model.most_loops(), 5);
  EXPECT_EQ(grid.run.model.local_memory_slots, 32);
  EXPECT_EQ(grid.run.model.global_memory_slots, 32);
  EXPECT_EQ(grid.seeds, (std::vector<int64_t>{4}));
  EXPECT_TRUE(grid.paper.empty());
  EXPECT_TRUE(systems[3].is_iso_time());
  EXPECT_EQ(systems[3].run.model.most_loops(), 0);
  // As many parameters as what it matches: its memory has gone into F.
  EXPECT_LT(std::abs(systems[3].match->baseline.parameters.residual()), 0.02);
}

TEST(StudySystems, MistakesInAStudyFileAreNamed) {
  const testing::TestDirectory directory;
  const auto refusal = [&](const std::string& text) {
    return testing::error_of(ErrorCode::kConfig,
                             [&] { (void)study_systems(study_of(directory, text)); });
  };
  using testing::expect_contains;
  expect_contains(refusal("[system.a]\nlike = \"lop3\"\n"), "\"lop3\". Did you mean \"loop3\"?");
  expect_contains(refusal("[system.a]\nlike = \"b\"\n[system.b]\nlike = \"a\"\n"), "got a ring");
  expect_contains(refusal("[system.a]\n"), "system.a: expected one of \"like\"");
  expect_contains(refusal("[system.a]\nlike = \"loop3\"\nmatch = \"loop5\"\n"), "got both");
  expect_contains(refusal("[system.a]\nmatch = \"isopar\"\n"), "got a dense one");
  expect_contains(refusal("[system.a]\nlike = \"loop3\"\ngroup = \"grit\"\n"), "\"grit\"");
  expect_contains(refusal("[system.a]\nlik = \"loop3\"\n"), "study.toml:3: unknown key \"lik\"");
  expect_contains(refusal("[system.a]\nlike = \"loop3\"\nset = [\"model.max_lops=1\"]\n"),
                  "Did you mean \"max_loops\"?");
  expect_contains(refusal("[study]\nseeds = [1, 1]\n"), "different whole numbers");
  expect_contains(refusal("[study]\nsystems = [\"lop3\"]\n"), "\"lop3\"");
  expect_contains(refusal("[benchmark]\npeopel = 4\n"), "Did you mean \"people\"?");
}

TEST(ChooseSystems, NamesKeepTheTablesOrderAndMistakesAreNamed) {
  const auto chosen = choose_systems(study_systems(Scale::kDemo), {"mem-g3", "isopar"});
  ASSERT_EQ(chosen.size(), 2U);
  EXPECT_EQ(chosen[0].name, "isopar");
  EXPECT_EQ(choose_systems(study_systems(Scale::kDemo), {}).size(), 10U);
  using testing::error_of;
  using testing::expect_contains;
  expect_contains(error_of(ErrorCode::kConfig,
                           [] { (void)choose_systems(study_systems(Scale::kDemo), {"lop3"}); }),
                  "\"lop3\". Did you mean \"loop3\"?");
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
