/// Runs that are stopped, continued, found damaged or asked for with another config.

#include <gtest/gtest.h>

#include <functional>

#include "loopbank/support/error.h"
#include "loopbank/support/log.h"
#include "loopbank/train/checkpoint.h"
#include "loopbank/train/trainer.h"
#include "small_run.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::expect_fragments;
using testing::expect_same_results;
using testing::quiet;
using testing::refusal;
using testing::saved_steps;
using testing::small_run;
using testing::stopping_after;
using testing::TestDirectory;

TEST(Resume, ARunStoppedAfterAnyStepGoesOnWithTheSameBits) {
  for (const std::string precision : {"fp32", "bf16"}) {
    const TestDirectory directory;
    auto run = small_run(directory);
    run.training.precision = precision;
    run.training.micro_batch = 2;
    const auto whole = directory.path() / "whole";
    (void)train(run, quiet(whole));
    for (int steps = 1; steps <= 5; ++steps) {
      const auto out = directory.path() / std::to_string(steps);
      const auto stopped = train(run, stopping_after(out, steps));
      EXPECT_FALSE(stopped.finished);
      EXPECT_EQ(stopped.steps, steps);
      EXPECT_FALSE(fs::exists(out / "model.safetensors"));
      const auto result = train(run, quiet(out, ResumeMode::kResume));
      EXPECT_TRUE(result.finished);
      expect_same_results(whole, out, 6);
    }
  }
}

// The weight of the ponder term follows from the step, whatever was done before in this process.
TEST(Resume, ARunStoppedInThePonderWarmUpGoesOnWithTheSameBits) {
  const TestDirectory directory;
  auto run = small_run(directory);
  run.model.ponder_weight = 0.5;
  run.training.ponder_warmup_fraction = 4.0 / 6.0;
  const auto whole = directory.path() / "whole";
  (void)train(run, quiet(whole));
  std::vector<double> weights;
  for (const auto& row : testing::read_rows(whole / "metrics.jsonl")) {
    if (row.contains("loss")) {
      weights.push_back(row.at("ponder_weight"));
    }
  }
  EXPECT_EQ(weights, (std::vector<double>{0.0, 0.125, 0.25, 0.375, 0.5, 0.5}));
  for (const int steps : {1, 3, 5}) {
    const auto out = directory.path() / std::to_string(steps);
    (void)train(run, stopping_after(out, steps));
    (void)train(run, quiet(out, ResumeMode::kResume));
    expect_same_results(whole, out, 6);
  }
  auto plain = run;
  plain.training.ponder_warmup_fraction = 0.0;
  (void)train(plain, quiet(directory.path() / "plain"));
  EXPECT_NE(read_file(whole / "model.safetensors"),
            read_file(directory.path() / "plain" / "model.safetensors"));
  const auto first = [](const fs::path& out) {
    return testing::read_rows(out / "metrics.jsonl")[0]["loss"].get<double>();
  };
  EXPECT_NEAR(first(directory.path() / "plain") - first(whole), 0.5 * 0.5, 0.02);  // n = 1.5 of 2
}

TEST(Resume, AResumeAfterTheLastStepPublishesTheModel) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto out = directory.path() / "run";
  const auto first = train(run, quiet(out));
  const auto model = read_file(out / "model.safetensors");
  fs::remove(out / "model.safetensors");  // as killed between checkpoint and model
  const auto again = train(run, quiet(out, ResumeMode::kResume));
  EXPECT_TRUE(again.finished);
  EXPECT_EQ(again.validation_bpb, first.validation_bpb);
  EXPECT_EQ(again.loss, first.loss);
  EXPECT_EQ(read_file(out / "model.safetensors"), model);
}

TEST(Resume, AResumeWithoutACheckpointStartsAnew) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto out = directory.path() / "run";
  (void)train(run, quiet(directory.path() / "whole"));
  fs::create_directories(out);
  write_file_atomically(out / "run.toml", to_toml(run));
  write_file_atomically(out / "metrics.jsonl", "{\"step\":1,\"loss\":9.0}\n{\"st");
  (void)train(run, quiet(out, ResumeMode::kResume));
  expect_same_results(directory.path() / "whole", out, 6);
}

TEST(Resume, ADamagedCheckpointGivesWayToTheOneBefore) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto out = directory.path() / "run";
  (void)train(run, quiet(directory.path() / "whole"));
  (void)train(run, stopping_after(out, 4));
  const auto file = checkpoint_path(out, 4) / "model.safetensors";
  fs::resize_file(file, fs::file_size(file) - 1);
  set_log_level(LogLevel::kQuiet);
  (void)train(run, quiet(out, ResumeMode::kResume));
  set_log_level(LogLevel::kInfo);
  expect_same_results(directory.path() / "whole", out, 6);
  EXPECT_EQ(saved_steps(out), (std::vector<int64_t>{6, 4}));
  EXPECT_TRUE(fs::exists(checkpoint_path(out, 4).string() + ".damaged"));
}

TEST(Resume, OnlyDamagedCheckpointsAreRefusedAndLeftAsTheyAre) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto out = directory.path() / "run";
  (void)train(run, stopping_after(out, 4));
  for (const auto& checkpoint : list_checkpoints(out)) {
    fs::remove(checkpoint.path / "state.json");
  }
  set_log_level(LogLevel::kQuiet);
  for (int i = 0; i < 2; ++i) {
    expect_fragments(refusal(run, quiet(out, ResumeMode::kResume)), ErrorCode::kCheckpoint,
                     {out.string(), "expected a complete checkpoint", "2 that are damaged"});
  }
  set_log_level(LogLevel::kInfo);
  EXPECT_EQ(saved_steps(out), (std::vector<int64_t>{4, 2}));
}

TEST(Resume, AFolderThatHoldsARunIsRefusedWithoutResume) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto out = directory.path() / "run";
  (void)train(run, stopping_after(out, 2));
  expect_fragments(refusal(run, quiet(out)), ErrorCode::kCheckpoint,
                   {out.string(), "run.toml", "--resume"});
  EXPECT_EQ(saved_steps(out), (std::vector<int64_t>{2}));
}

TEST(Resume, AResumeWithAnotherConfigNamesTheKeyAndBothValues) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto out = directory.path() / "run";
  (void)train(run, stopping_after(out, 2));
  const auto refused = [&](const std::function<void(RunConfig&)>& change,
                           const std::vector<std::string>& fragments) {
    auto other = run;
    change(other);
    // Editing the run's own copy of the config does not help.
    write_file_atomically(out / "run.toml", to_toml(other));
    expect_fragments(refusal(other, quiet(out, ResumeMode::kResume)), ErrorCode::kConfig,
                     fragments);
  };
  refused([](auto& c) { c.training.batch = 8; }, {"training.batch = 4", "got 8", "--out"});
  refused([](auto& c) { c.training.steps = 7; }, {"training.steps = 6", "got 7"});
  refused([](auto& c) { c.model.max_loops = 3; }, {"model.max_loops = 2", "got 3"});
  refused([](auto& c) { c.optimizer.beta2 = 0.999; }, {"optimizer.beta2 = 0.95", "got 0.999"});
  refused([](auto& c) { c.schedule.peak_rate = 1.0; }, {"schedule.peak_rate", "got 1.0"});
  refused([](auto& c) { c.training.precision = "bf16"; },
          {"training.precision = \"fp32\"", "got \"bf16\""});
}

TEST(Resume, AResumeMaySaveAndValidateAtOtherSteps) {
  const TestDirectory directory;
  auto run = small_run(directory);
  const auto out = directory.path() / "run";
  (void)train(run, quiet(directory.path() / "whole"));
  (void)train(run, stopping_after(out, 2));
  run.training.checkpoint_every = 1;
  run.training.keep_checkpoints = 3;
  run.training.validate_every = 0;
  (void)train(run, quiet(out, ResumeMode::kResume));
  EXPECT_EQ(read_file(out / "model.safetensors"),
            read_file(directory.path() / "whole" / "model.safetensors"));
  EXPECT_EQ(saved_steps(out), (std::vector<int64_t>{6, 5, 4}));
}

TEST(Resume, AnotherTrainingFileIsRefusedAtAResume) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto out = directory.path() / "run";
  (void)train(run, stopping_after(out, 2));
  testing::write_sentences(run.data.train.joined(), /*repeats=*/2);
  expect_fragments(refusal(run, quiet(out, ResumeMode::kResume)), ErrorCode::kData,
                   {run.data.train.joined(), "tokens", "--out"});
}

}  // namespace
}  // namespace loopbank
