/// Seeds of a study: their order, seeds that are added later, several parts with several seeds.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "loopbank/study/study_config.h"
#include "small_study.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::expect_contains;
using testing::json_of_file;
using testing::small_settings;
using testing::small_study;
using testing::TestDirectory;
using Seeds = std::vector<int64_t>;
using Names = std::vector<std::string>;

/// Two systems of two steps, scored at their end alone.
StudyOptions short_study(const fs::path& out, const Seeds& seeds) {
  auto options = small_study(out, {"isopar", "loop3"},
                             {"training.steps=2", "study.exits=false", "study.score_points=0"});
  options.parts.front().study.seeds = seeds;
  options.at_once = 1;  // so that runs end in their order
  return options;
}

/// The same on p-hop.
StudyConfig short_hops(const Seeds& seeds) {
  auto settings = small_settings();
  for (const char* more : {"training.steps=2", "study.exits=false", "study.score_points=0",
                           "synthetic.task=p-hop", "synthetic.training_bytes=20000",
                           "synthetic.validation_bytes=4000", "synthetic.instances=8"}) {
    settings.emplace_back(more);
  }
  auto config = study_preset(Scale::kDemo, settings);
  config.study.seeds = seeds;
  config.study.systems = {"isopar", "loop3"};
  return config;
}

/// "loop3 2" of every run, in the order of their ends.
Names order_of(StudyOptions options) {
  Names order;
  options.on_run = [&](const RunDone& done) {
    order.push_back(fmt::format("{} {}{}", done.result.system, done.result.seed,
                                done.was_done ? " before" : ""));
  };
  EXPECT_TRUE(run_study(options).finished);
  return order;
}

TEST(FirstSeeds, TheStudysOwnAndThenOnFromTheLargest) {
  EXPECT_EQ(first_seeds({1}, 8), (Seeds{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(first_seeds({1, 2, 3}, 2), (Seeds{1, 2}));
  EXPECT_EQ(first_seeds({7, 3}, 4), (Seeds{7, 3, 8, 9}));
  EXPECT_EQ(first_seeds({0}, 1), (Seeds{0}));
}

TEST(StudySeeds, MoreOfThemAreAddedAndNothingIsDoneAgain) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  EXPECT_EQ(order_of(short_study(out, {1, 2})),
            (Names{"isopar 1", "loop3 1", "isopar 2", "loop3 2"}));
  EXPECT_EQ(order_of(short_study(out, {1, 2, 3})),
            (Names{"isopar 1 before", "loop3 1 before", "isopar 2 before", "loop3 2 before",
                   "isopar 3", "loop3 3"}));
  const auto part = json_of_file(out / "results.json")["parts"][0];
  EXPECT_EQ(part["seeds"], nlohmann::json({1, 2, 3}));
  EXPECT_EQ(part["systems"][1]["scores"]["facts_bpb"]["by_seed"].size(), 3U);
}

TEST(StudySeeds, AnotherCallsSeedsStayInTheResults) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  (void)order_of(short_study(out, {1, 2}));
  EXPECT_EQ(order_of(short_study(out, {4})), (Names{"isopar 4", "loop3 4"}));
  const auto part = json_of_file(out / "results.json")["parts"][0];
  EXPECT_EQ(part["seeds"], nlohmann::json({4, 1, 2}));
  EXPECT_EQ(part["systems"][0]["seeds"], nlohmann::json({4, 1, 2}));
  // What lies beside the seeds is none of them.
  fs::create_directories(out / "benchmark/seed-x");
  fs::create_directories(out / "benchmark/seed-7");
  (void)order_of(short_study(out, {1}));
  EXPECT_EQ(json_of_file(out / "results.json")["parts"][0]["seeds"], nlohmann::json({1, 2, 4}));
}

TEST(StudySeeds, SeedsOfOtherSettingsOrDataAreRefusedBeforeAnythingIsWritten) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  (void)order_of(short_study(out, {1, 2}));
  const auto before = read_file(out / "results.json");
  const auto refusal_of = [&](const StudyOptions& options) {
    const auto told = error_of(ErrorCode::kConfig, [&] { (void)run_study(options); });
    EXPECT_FALSE(fs::exists(out / "benchmark/seed-4"));
    EXPECT_EQ(read_file(out / "results.json"), before);
    return told;
  };
  auto longer = short_study(out, {4});
  longer.parts.front().run.training.steps = 3;
  expect_contains(refusal_of(longer), "expected training.steps = 2");
  // Also where this call trains other systems.
  longer.systems = {"isopar"};
  fs::rename(out / "benchmark/seed-1", directory.path() / "seed-1");
  fs::rename(out / "benchmark/seed-2/systems/isopar", directory.path() / "isopar");
  expect_contains(refusal_of(longer), "seed-2/systems/loop3/run.toml: expected training.steps = 2");
  auto other_world = short_study(out, {4});
  other_world.parts.front().benchmark.options.facts.num_people = 9;
  expect_contains(refusal_of(other_world), "seed-2/data/data.json: expected ");
  // A part that comes first is not begun either.
  other_world.parts.insert(other_world.parts.begin(), short_hops({5}));
  (void)refusal_of(other_world);
  EXPECT_FALSE(fs::exists(out / "p-hop"));
}

TEST(StudySeeds, SeedsThatAreNotTrainedAreNotClaimed) {
  const TestDirectory directory;
  auto options = short_study(directory.path() / "study", {3, 1, 2});
  int runs = 0;
  options.on_run = [&](const RunDone&) { ++runs; };
  options.should_stop = [&] { return runs == 3; };  // both systems of seed 3, one of seed 1
  const auto outcome = run_study(options);
  EXPECT_FALSE(outcome.finished);
  EXPECT_EQ(outcome.result.parts.at(0).seeds, (Seeds{3, 1}));
}

TEST(StudySeeds, TheLookInsideIsOfTheSmallestSeedWhateverTheOrderOfCalls) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  const auto inside_after = [&](const Seeds& seeds) {
    const auto result = run_study(short_study(out, seeds)).result;
    return to_json(result.parts.at(0).find("loop3")->inside.value()).dump();
  };
  const auto of_seed = [&](int seed) {
    return to_json(read_inside(testing::run_folder(out, "loop3", seed)).value()).dump();
  };
  for (const auto& [seeds, seed] :
       std::vector<std::pair<Seeds, int>>{{{2}, 2}, {{1}, 1}, {{2, 1}, 1}}) {
    const auto inside = inside_after(seeds);
    EXPECT_EQ(inside, of_seed(seed));
  }
  ASSERT_NE(of_seed(1), of_seed(2));
}

TEST(StudySeeds, ARunThatGoesOnTellsTheTimeByAllItsSeconds) {
  const TestDirectory directory;
  const auto with_steps = [&] {
    auto options = short_study(directory.path() / "study", {1, 2});
    options.parts.front().run.training.steps = 6;
    options.systems = {"loop3"};
    return options;
  };
  auto cut = with_steps();
  cut.should_stop = [left = 5]() mutable { return --left <= 0; };
  ASSERT_FALSE(run_study(cut).finished);
  const auto metrics =
      testing::run_folder(directory.path() / "study", "loop3", 1) / "metrics.jsonl";
  ASSERT_TRUE(fs::exists(metrics)) << "the first run was begun";
  auto on = with_steps();
  std::vector<double> left;
  std::vector<double> taken;
  on.on_run = [&](const RunDone& done) {
    left.push_back(done.seconds_left.value_or(0.0));
    taken.push_back(done.result.seconds + done.result.evaluation_seconds);
  };
  ASSERT_TRUE(run_study(on).finished);
  EXPECT_DOUBLE_EQ(left.at(0), taken.at(0));  // the one run that is left is as long
}

TEST(StudySeeds, ASystemsOwnSeedsStayItsOwn) {
  const TestDirectory directory;
  const auto file =
      directory.write("mine.toml", fmt::format("base = \"{}/configs/study/demo.toml\"\n"
                                               "[study]\nsystems = [\"isopar\"]\n"
                                               "[system.shy]\nlike = \"isopar\"\nseeds = [2]\n",
                                               LOOPBANK_SOURCE_DIR));
  auto options = short_study(directory.path() / "study", {1});
  options.systems = {};
  auto settings = small_settings();
  settings.insert(settings.end(), {"training.steps=2", "study.exits=false"});
  options.parts = {load_study_config(file, settings)};
  options.parts.front().study.seeds = Seeds{1, 2, 3};
  const auto part = run_study(options).result.parts.at(0);
  EXPECT_EQ(part.find("isopar")->seeds, (Seeds{1, 2, 3}));
  EXPECT_EQ(part.find("shy")->seeds, (Seeds{2}));
}

TEST(StudySeeds, SeveralPartsGoSeedAfterSeed) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  auto options = short_study(out, {1, 2});
  options.parts.push_back(short_hops({5, 6, 7}));
  EXPECT_EQ(order_of(options), (Names{"isopar 1", "loop3 1", "isopar 5", "loop3 5", "isopar 2",
                                      "loop3 2", "isopar 6", "loop3 6", "isopar 7", "loop3 7"}));
  const auto parts = json_of_file(out / "results.json")["parts"];
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0]["seeds"], nlohmann::json({1, 2}));
  EXPECT_EQ(parts[1]["name"], "p-hop");
  EXPECT_EQ(parts[1]["seeds"], nlohmann::json({5, 6, 7}));
  EXPECT_TRUE(fs::exists(out / "p-hop/seed-7/systems/loop3/result.json"));
}

TEST(StudySeeds, PartsOfOneNameAreRefusedBeforeAnythingIsWritten) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  auto options = short_study(out, {1});
  options.parts.push_back(options.parts.front());
  expect_contains(
      error_of(ErrorCode::kConfig, [&] { (void)run_study(options); }),
      "expected parts of different names, which are their folders, got benchmark twice");
  EXPECT_FALSE(fs::exists(out));
}

TEST(StudySeeds, TheTimeThatIsLeftIsToldAfterEachRunButTheLast) {
  const TestDirectory directory;
  auto options = short_study(directory.path() / "study", {1, 2});
  std::vector<bool> told;
  options.on_run = [&](const RunDone& done) {
    told.push_back(done.seconds_left.has_value());
    EXPECT_GE(done.seconds_left.value_or(0.0), 0.0);
  };
  EXPECT_TRUE(run_study(options).finished);
  EXPECT_EQ(told, (std::vector<bool>{true, true, true, false}));
}

}  // namespace
}  // namespace loopbank
