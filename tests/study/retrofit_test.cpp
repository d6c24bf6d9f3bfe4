/// Studies whose systems start from an existing model.

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/model/weights.h"
#include "loopbank/study/study_data.h"
#include "loopbank/study/systems.h"
#include "loopbank/study/table.h"
#include "loopbank/support/files.h"
#include "loopbank/train/run_init.h"
#include "small_study.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::expect_contains;
using testing::json_of_file;
using testing::run_folder;
using testing::TestDirectory;

/// A dense model with a tokenizer of the benchmark, as the demo's IsoPar would leave it.
fs::path write_base(const fs::path& folder, int64_t loops = 0,
                    const std::string& depth_scale = "none") {
  ModelConfig config;
  config.vocab_size = 280;
  config.hidden_size = 16;
  config.intermediate_size = 32;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 64;
  config.max_loops = loops;
  config.depth_scale = depth_scale;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/6);
  const auto data = prepare_study_data(
      folder / "data", {.benchmark = testing::small_benchmark(), .vocab_size = 280});
  save_model(model, folder);
  fs::copy_file(data.files.tokenizer, folder / "tokenizer.json");
  return folder;
}

/// What small_settings says but for [model].
std::vector<std::string> small_training() {
  auto settings = testing::small_settings();
  std::erase_if(settings, [](const std::string& item) { return item.starts_with("model."); });
  return settings;
}

StudyOptions small_retrofit(const fs::path& base, const fs::path& out,
                            std::vector<std::string> systems = {}) {
  StudyOptions options;
  options.scale = "retrofit";
  options.parts = {retrofit_study_preset(base.string(), small_training())};
  options.out = out;
  options.systems = std::move(systems);
  options.command = "loopbank study --init " + base.string();
  options.show_progress = false;
  return options;
}

TEST(Retrofit, SystemsAreTheModelWithLoopsAndMemory) {
  const TestDirectory directory;
  const auto base = write_base(directory.path() / "base");
  const auto config = retrofit_study_preset(base.string(), small_training());
  EXPECT_EQ(config.run.training.init_hash.size(), 16U);
  const auto systems = study_systems(config);
  std::vector<std::string> names;
  for (const auto& system : systems) {
    names.push_back(system.name);
    EXPECT_TRUE(system.paper.empty()) << system.name;
    EXPECT_EQ(system.run.model.hidden_size, 16) << system.name;
    EXPECT_EQ(system.run.training, systems.front().run.training) << system.name;
    EXPECT_EQ(system.run.model.loop_scale_kind,
              system.run.model.most_loops() > 0 ? "linear" : "softplus");
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"isopar", "loop3", "loop7", "mem-g0", "loop1", "memory"}));
  EXPECT_EQ(systems[0].label, "Dense, continued");
  EXPECT_EQ(systems[0].run.model, load_config(base / "config.json"));
  EXPECT_EQ(systems[3].run.model.local_memory_slots, 64);
  EXPECT_EQ(systems[5].run.model.most_loops(), 1);
  EXPECT_EQ(systems[5].run.model.global_memory_slots, 32);
}

TEST(Retrofit, AModelWithDepthScalesIsTaken) {
  const TestDirectory directory;
  const auto base = write_base(directory.path() / "base", 0, "inverse");
  for (const auto& system : study_systems(retrofit_study_preset(base.string(), small_training()))) {
    const bool dense = system.run.model.most_loops() == 0;
    EXPECT_EQ(system.run.model.depth_scale, dense ? "inverse" : "none") << system.name;
  }
}

TEST(Retrofit, WhatTheSolverDerivesAndWhatLoopsAlreadyIsRefused) {
  const TestDirectory directory;
  const auto base = write_base(directory.path() / "base");
  auto settings = small_training();
  settings.emplace_back("study.systems=[\"isoflop\"]");
  expect_contains(
      error_of(ErrorCode::kConfig,
               [&] { (void)study_systems(retrofit_study_preset(base.string(), settings)); }),
      "study: expected systems that can start from " + base.string() +
          " (training.init), got isoflop, the dense baseline of loop3");
  const auto looped = write_base(directory.path() / "looped", /*loops=*/2);
  expect_contains(error_of(ErrorCode::kConfig,
                           [&] { (void)retrofit_study_preset(looped.string(), small_training()); }),
                  "study: expected a dense model to start from (training.init)");
}

TEST(Retrofit, EverySystemStartsAsTheModelAndIsComparedWithTheControl) {
  const TestDirectory directory;
  const auto base = write_base(directory.path() / "base");
  const auto out = directory.path() / "study";
  const auto outcome = run_study(small_retrofit(base, out));
  EXPECT_TRUE(outcome.finished);
  const auto json = json_of_file(out / "results.json");
  const auto& part = json["parts"][0];
  EXPECT_EQ(part["init"], base.string());
  ASSERT_EQ(part["systems"].size(), 6U);
  std::vector<double> before;
  for (const auto& row : part["systems"]) {
    const auto name = row["name"].get<std::string>();
    const auto& curve = part["curves"][name][0];
    EXPECT_EQ(curve["step"][0], 0) << name;
    before.push_back(curve["validation_loss"][0].get<double>());
    EXPECT_EQ(row["tokens"], 6 * 2 * 16) << name;
    EXPECT_EQ(load_stored_run(run_folder(out, name) / "run.toml").training.init, base.string());
    EXPECT_EQ(row.contains("against") && row["against"].contains("isopar"), name != "isopar");
    EXPECT_FALSE(row.contains("paper")) << name;
  }
  for (const auto loss : before) {
    EXPECT_NEAR(loss, before.front(), 1e-5);
  }
  EXPECT_TRUE(part["claims"].empty());
  // The data is the model's tokenizer's.
  EXPECT_EQ(read_file(out / "benchmark/seed-3/data/tokenizer.json"),
            read_file(base / "tokenizer.json"));
  const auto page = read_file(out / "report.html");
  expect_contains(page, "The control is Dense, continued");
  expect_contains(page, "\"retrofit\":true");
  const auto& result = outcome.result.parts.front();
  expect_contains(format_claims(result), "All systems start from " + base.string());
  EXPECT_EQ(format_table(result).find("paper's own"), std::string::npos);
  // Called again, nothing is left to do.
  std::vector<bool> was_done;
  auto again = small_retrofit(base, out);
  again.on_run = [&](const RunDone& done) { was_done.push_back(done.was_done); };
  EXPECT_TRUE(run_study(again).finished);
  EXPECT_EQ(was_done, std::vector<bool>(6, true));
}

TEST(Retrofit, AStudyGoesOnFromTheSameWeightsAlone) {
  const TestDirectory directory;
  const auto base = write_base(directory.path() / "base");
  const auto out = directory.path() / "study";
  EXPECT_TRUE(run_study(small_retrofit(base, out, {"isopar"})).finished);
  auto model = load_model(base);
  LanguageModel other(model.config());
  other.parameters().initialize(/*seed=*/7);
  save_model(other, base);
  expect_contains(
      error_of(ErrorCode::kConfig, [&] { (void)run_study(small_retrofit(base, out, {"isopar"})); }),
      "expected training.init_hash = ");
}

}  // namespace
}  // namespace loopbank
