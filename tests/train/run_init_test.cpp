#include "loopbank/train/run_init.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <string>

#include "loopbank/model/weights.h"
#include "small_run.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::expect_contains;
using testing::expect_fragments;
using testing::quiet;
using testing::refusal;
using testing::small_run;
using testing::TestDirectory;

/// A dense model directory with the small run's sizes.
fs::path write_dense(const TestDirectory& directory, const std::string& name = "dense",
                     uint64_t seed = 9) {
  auto config = small_run(directory).model;
  config.max_loops = 0;
  config.local_memory_slots = config.global_memory_slots = 0;
  LanguageModel model(config);
  model.parameters().initialize(seed);
  const auto folder = directory.path() / name;
  fs::create_directories(folder);
  save_model(model, folder);
  Tokenizer::bytes().save(folder / "tokenizer.json");
  return folder;
}

/// The small run as a file without [model] and tokenizer, which starts from `init`.
fs::path write_run(const TestDirectory& directory, const fs::path& init,
                   const std::string& model = "") {
  auto run = small_run(directory);
  run.data.tokenizer.clear();
  run.training.init = init.string();
  auto sections = run.sections();
  std::erase_if(sections, [](const Section& section) { return section.name == "model"; });
  return directory.write("run.toml", write_toml(sections) + "\n[model]\n" + model + "\n");
}

const std::string kLoopsAndMemory =
    "max_loops = 3\nlocal_memory_slots = 4\nglobal_memory_slots = 2\nrouter_bias_init = -0.5";

nlohmann::json first_validation(const fs::path& out) {
  return testing::read_rows(out / "metrics.jsonl").front();
}

TEST(RunInit, TheModelIsThatOfTheFolderWithWhatIsAdded) {
  const TestDirectory directory;
  const auto dense = write_dense(directory);
  const auto as_it_is = load_run_config(write_run(directory, dense));
  EXPECT_EQ(as_it_is.model, load_config(dense / "config.json"));
  const auto given = load_run_config(write_run(directory, dense, kLoopsAndMemory)).model;
  EXPECT_EQ(given.hidden_size, 16);
  EXPECT_EQ(given.most_loops(), 3);
  EXPECT_EQ(given.local_memory_slots, 4);
  EXPECT_EQ(given.loop_scale_kind, "linear");
  EXPECT_EQ(given.loop_scale_init, 0.0);
  EXPECT_EQ(given.first_loop_scale_init, 1.0);
  EXPECT_EQ(given.router_bias_init, -0.5);
}

TEST(RunInit, EveryKeyThatDisagreesIsNamed) {
  const TestDirectory directory;
  const auto dense = write_dense(directory);
  const auto file =
      write_run(directory, dense, "hidden_size = 32\nrope_theta = 1e4\nmax_loops = 3");
  const auto text = error_of(ErrorCode::kConfig, [&] { (void)load_run_config(file); });
  expect_contains(text, file.string() +
                            ": training: \"init\" expects a model whose config agrees "
                            "with [model], got " +
                            dense.string());
  expect_contains(text, "model.hidden_size (16 there, 32 here), ");
  expect_contains(text, "model.rope_theta (500000.0 there, 10000.0 here). Leave these keys out");
  EXPECT_EQ(text.find("max_loops"), std::string::npos) << text;
  // What agrees may be said.
  EXPECT_NO_THROW((void)load_run_config(write_run(directory, dense, "num_key_value_heads = 2")));
  EXPECT_NO_THROW((void)load_run_config(
      write_run(directory, dense, kLoopsAndMemory + "\nloop_scale_init = 0.5413")));
}

TEST(RunInit, LoopsThatAreThereStayAsTheyAre) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  LanguageModel looped(run.model);
  looped.parameters().initialize(4);
  const auto folder = directory.path() / "looped";
  fs::create_directories(folder);
  save_model(looped, folder);
  expect_contains(
      error_of(ErrorCode::kConfig,
               [&] { (void)load_run_config(write_run(directory, folder, "max_loops = 3")); }),
      "model.max_loops (2 there, 3 here)");
  expect_contains(
      error_of(
          ErrorCode::kConfig,
          [&] { (void)load_run_config(write_run(directory, folder, "loop_scale_init = 0.5")); }),
      "model.loop_scale_init (-7.0 there, 0.5 here)");
  const auto model = load_run_config(write_run(directory, folder, "ponder_weight = 0.25")).model;
  EXPECT_EQ(model.ponder_weight, 0.25);
  EXPECT_EQ(model.max_loops, run.model.max_loops);
}

TEST(RunInit, AFolderWithoutAModelIsRefused) {
  const TestDirectory directory;
  expect_contains(
      error_of(ErrorCode::kCheckpoint,
               [&] { (void)load_run_config(write_run(directory, directory.path() / "no")); }),
      "training: \"init\" expects the folder of a model");
}

TEST(RunInit, StartsFromTheWeightsOfTheFolder) {
  const TestDirectory directory;
  const auto dense = write_dense(directory);
  const auto out = directory.path() / "out";
  auto run = load_run_config(write_run(directory, dense, kLoopsAndMemory));
  auto control = load_run_config(write_run(directory, dense));
  run.schedule.peak_rate = control.schedule.peak_rate = 1e-30;  // nothing moves
  run.schedule.initial_rate = run.schedule.final_rate = 0.0;
  control.schedule.initial_rate = control.schedule.final_rate = 0.0;
  (void)train(run, quiet(out));
  (void)train(control, quiet(directory.path() / "control"));
  const auto before = load_model(dense);
  const auto after = load_model(out);
  for (const auto& parameter : before.parameters().all()) {
    EXPECT_TRUE(after.parameters().get(parameter.name).value.allclose(parameter.value))
        << parameter.name;
  }
  // It begins with a validation, and computes what the dense model does.
  const auto first = first_validation(out);
  EXPECT_EQ(first["step"], 0);
  EXPECT_NEAR(first["validation_loss"].get<double>(),
              first_validation(directory.path() / "control")["validation_loss"].get<double>(),
              1e-6);
  // It says where it came from.
  const auto stored = load_stored_run(out / "run.toml");
  EXPECT_EQ(stored.training.init, dense.string());
  EXPECT_EQ(stored.training.init_hash, hash_of_init(run.training));
  EXPECT_EQ(read_file(out / "tokenizer.json"), read_file(dense / "tokenizer.json"));
}

TEST(RunInit, AResumedRunNeedsTheFolderNoMore) {
  const TestDirectory directory;
  const auto dense = write_dense(directory);
  const auto file = write_run(directory, dense, kLoopsAndMemory + "\nloop_scale_init = 0.5413");
  const std::vector<std::string> rates = {"optimizer.init_multiplier=0.5",
                                          "optimizer.new_multiplier=3"};
  const auto whole = directory.path() / "whole";
  const auto parts = directory.path() / "parts";
  (void)train(load_run_config(file, rates), quiet(whole));
  auto result = train(load_run_config(file, rates), testing::stopping_after(parts, 3));
  EXPECT_FALSE(result.finished);
  fs::remove_all(dense);
  const auto resumed = load_run_config(file, rates, parts);
  result = train(resumed, quiet(parts, ResumeMode::kResume));
  EXPECT_TRUE(result.finished);
  testing::expect_same_results(whole, parts, 6);
}

TEST(RunInit, ARunWithoutACheckpointStartsAgainFromTheSameWeightsAlone) {
  const TestDirectory directory;
  const auto dense = write_dense(directory);
  const auto file = write_run(directory, dense);
  const auto out = directory.path() / "out";
  (void)train(load_run_config(file), testing::stopping_after(out, 1));
  fs::remove_all(out / "checkpoints");
  const auto again = [&] { return testing::stopping_after(out, 1, ResumeMode::kResume); };
  (void)train(load_run_config(file, {}, out), again());
  fs::remove_all(out / "checkpoints");
  write_dense(directory, "dense", /*seed=*/10);
  expect_fragments(refusal(load_run_config(file, {}, out), again()), ErrorCode::kCheckpoint,
                   {dense.string() + ": expected the weights with hash ", "(training.init_hash)"});
}

TEST(RunInit, ARunThatGoesOnWithoutItsModelNamedSaysWhich) {
  const TestDirectory directory;
  const auto dense = write_dense(directory);
  write_file_atomically(dense / "generation_config.json", "{}");
  const auto out = directory.path() / "out";
  (void)train(load_run_config(write_run(directory, dense)), testing::stopping_after(out, 1));
  EXPECT_EQ(read_file(out / "generation_config.json"), "{}");
  const auto without = write_run(directory, "");
  expect_contains(error_of(ErrorCode::kConfig, [&] { (void)load_run_config(without, {}, out); }),
                  "expected --init " + dense.string() + ", from which the run in ");
}

TEST(RunInit, AHashMayBeAskedFor) {
  const TestDirectory directory;
  const auto file = write_run(directory, write_dense(directory));
  const auto run = load_run_config(file, {"training.init_hash=0123456789abcdef"});
  expect_fragments(refusal(run, quiet(directory.path() / "out")), ErrorCode::kCheckpoint,
                   {"expected the weights with hash 0123456789abcdef"});
  expect_contains(error_of(ErrorCode::kCheckpoint,
                           [&] { (void)check_run(run, quiet(directory.path() / "out")); }),
                  "expected the weights with hash 0123456789abcdef");
}

TEST(RunInit, ATokenizerOfOtherIdsIsRefused) {
  const TestDirectory directory;
  const auto dense = write_dense(directory);
  const auto text = read_file(dense / "tokenizer.json");
  const auto other =
      directory.write("other.json", std::regex_replace(text, std::regex("endoftext"), "the_end"));
  ASSERT_NE(Tokenizer::load(other).hash(), Tokenizer::bytes().hash());
  const auto run =
      load_run_config(write_run(directory, dense), {"data.tokenizer=" + other.string()});
  expect_fragments(
      refusal(run, quiet(directory.path() / "out")), ErrorCode::kData,
      {"data: \"tokenizer\" expects one with the ids of " + (dense / "tokenizer.json").string()});
}

TEST(RunInit, RatesOfOldAndNewParametersNeedAModelToStartFrom) {
  const TestDirectory directory;
  auto run = small_run(directory);
  run.optimizer.new_multiplier = 2.0;
  expect_contains(
      error_of(ErrorCode::kConfig, [&] { run.validate(); }),
      "optimizer: \"init_multiplier\" and \"new_multiplier\" expect 1 in a run that starts "
      "from no model (training.init), got 1 and 2.");
  run.optimizer.new_multiplier = 1.0;
  run.training.init_hash = "0123456789abcdef";
  expect_contains(error_of(ErrorCode::kConfig, [&] { run.validate(); }),
                  "training: \"init_hash\" expects \"init\"");
}

}  // namespace
}  // namespace loopbank
