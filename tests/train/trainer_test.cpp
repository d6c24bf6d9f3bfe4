#include "loopbank/train/trainer.h"

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "loopbank/model/safetensors.h"
#include "loopbank/model/weights.h"
#include "loopbank/support/error.h"
#include "loopbank/support/log.h"
#include "loopbank/train/checkpoint.h"
#include "small_run.h"
#include "tests/support/file_size_limit.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::expect_fragments;
using testing::expect_same_results;
using testing::FileSizeLimit;
using testing::quiet;
using testing::read_rows;
using testing::refusal;
using testing::saved_steps;
using testing::small_run;
using testing::stopping_after;
using testing::TestDirectory;

TEST(Train, LeavesAModelItsConfigAndItsMetrics) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto out = directory.path() / "run";
  const auto result = train(run, quiet(out));
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.steps, 6);
  EXPECT_GT(result.tokens_per_second, 0.0);
  EXPECT_EQ(load_model(out).config().max_loops.values.front(), 2);
  EXPECT_EQ(Tokenizer::load(out).hash(), Tokenizer::bytes().hash());
  auto validated = run;
  validated.validate();
  EXPECT_EQ(load_run_config(out / "run.toml"), validated);
  EXPECT_EQ(saved_steps(out), (std::vector<int64_t>{6, 4}));

  std::vector<int64_t> steps, validations;
  for (const auto& row : read_rows(out / "metrics.jsonl")) {
    (row.contains("validation_loss") ? validations : steps).push_back(row["step"]);
    if (row.contains("loss")) {
      EXPECT_EQ(row["tokens"], row["step"].get<int64_t>() * 4 * 16);
    } else {
      EXPECT_EQ(row["validation_loss_by_loops"].size(), 2U);
    }
  }
  EXPECT_EQ(steps, (std::vector<int64_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(validations, (std::vector<int64_t>{3, 6}));
}

TEST(Train, LearnsItsText) {
  const TestDirectory directory;
  auto run = small_run(directory);
  run.training.steps = 60;
  run.training.checkpoint_every = 0;
  run.schedule.peak_rate = 1e-2;
  run.schedule.initial_rate = 1e-3;
  const auto result = train(run, quiet(directory.path() / "run"));
  EXPECT_NEAR(read_rows(directory.path() / "run" / "metrics.jsonl")[0]["loss"].get<double>(),
              std::log(257.0), 0.1);
  EXPECT_LT(result.validation_loss, 3.3);
  EXPECT_GT(result.validation_bpb, result.validation_loss / std::log(2.0));
}

TEST(Train, TheSameSeedGivesTheSameBitsAndAnotherDoesNot) {
  const TestDirectory directory;
  auto run = small_run(directory);
  (void)train(run, quiet(directory.path() / "a"));
  (void)train(run, quiet(directory.path() / "b"));
  expect_same_results(directory.path() / "a", directory.path() / "b", 6);
  run.training.seed = 1;
  (void)train(run, quiet(directory.path() / "c"));
  EXPECT_NE(read_file(directory.path() / "a" / "model.safetensors"),
            read_file(directory.path() / "c" / "model.safetensors"));
}

/// Options that score the model by one weight of its head.
TrainOptions evaluating(const fs::path& out, ResumeMode resume = ResumeMode::kNew) {
  auto options = quiet(out, resume);
  options.evaluate = [](const LanguageModel& model) {
    const auto weight = model.parameters().get("head.weight").value[0][0].item<double>();
    return std::vector<EvaluationMetrics>{{.task = "quiz", .metric = "acc_raw", .value = weight},
                                          {.task = "both", .value = 0.5, .is_suite = true}};
  };
  return options;
}

RunConfig evaluated_run(const TestDirectory& directory) {
  auto run = small_run(directory);
  run.evaluation.tasks = {"quiz"};
  run.evaluation.data = {"tasks"};
  run.evaluation.every = 2;
  run.training.steps = 5;
  return run;
}

std::vector<nlohmann::json> evaluation_rows(const fs::path& out) {
  std::vector<nlohmann::json> rows;
  for (const auto& row : read_rows(out / "metrics.jsonl")) {
    if (row.contains("task")) {
      rows.push_back(row);
    }
  }
  return rows;
}

TEST(Train, TasksAreScoredWhenTheConfigSaysSo) {
  const TestDirectory directory;
  const auto run = evaluated_run(directory);
  const auto out = directory.path() / "run";
  auto options = evaluating(out);
  // The last evaluation takes as long as all that was before it.
  const auto begin = std::chrono::steady_clock::now();
  std::chrono::duration<double> pause{0};
  int calls = 0;
  options.evaluate = [&, score = options.evaluate](const LanguageModel& model) {
    if (++calls == 3) {
      pause = std::chrono::steady_clock::now() - begin;
      std::this_thread::sleep_for(pause);
    }
    return score(model);
  };
  const auto result = train(run, options);
  const auto rows = evaluation_rows(out);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0]["step"], 2);
  EXPECT_EQ(rows[1]["step"], 4);
  EXPECT_EQ(rows[2]["step"], 5);                  // the last
  EXPECT_NE(rows[0]["value"], rows[1]["value"]);  // the weights of its step
  ASSERT_EQ(result.evaluation.size(), 2U);
  EXPECT_EQ(result.evaluation[0].step, 5);
  EXPECT_EQ(result.evaluation[0].value, rows[2]["value"].get<double>());
  EXPECT_LT(result.train_seconds, pause.count());  // of the steps alone
  // Nothing of it reaches the weights.
  auto plain = run;
  plain.evaluation = {};
  (void)train(plain, quiet(directory.path() / "plain"));
  EXPECT_EQ(read_file(out / "model.safetensors"),
            read_file(directory.path() / "plain" / "model.safetensors"));
  // 0: only after the last step.
  auto last = run;
  last.evaluation.every = 0;
  (void)train(last, evaluating(directory.path() / "last"));
  ASSERT_EQ(evaluation_rows(directory.path() / "last").size(), 1U);
  EXPECT_EQ(evaluation_rows(directory.path() / "last")[0]["step"], 5);
}

TEST(Train, AStoppedRunScoresEveryStepOnce) {
  const TestDirectory directory;
  auto run = evaluated_run(directory);
  run.training.checkpoint_every = 1;
  const auto whole = directory.path() / "whole";
  (void)train(run, evaluating(whole));
  for (const int steps : {1, 2, 4}) {
    const auto out = directory.path() / std::to_string(steps);
    auto stopping = evaluating(out);
    stopping.should_stop = [left = steps]() mutable { return --left <= 0; };
    (void)train(run, stopping);
    (void)train(run, evaluating(out, ResumeMode::kResume));
    expect_same_results(whole, out, 5);
  }
  // What is scored may change at a resume.
  const auto out = directory.path() / "changed";
  auto stopping = evaluating(out);
  stopping.should_stop = [left = 2]() mutable { return --left <= 0; };
  (void)train(run, stopping);
  run.evaluation.every = 3;
  run.evaluation.tasks = {"another"};
  (void)train(run, evaluating(out, ResumeMode::kResume));
  EXPECT_EQ(evaluation_rows(out).size(), 3U);  // steps 2, 3 and 5
}

TEST(Train, TasksWithoutAnybodyToScoreThemAreRefused) {
  const TestDirectory directory;
  const auto out = directory.path() / "run";
  expect_fragments(refusal(evaluated_run(directory), quiet(out)), ErrorCode::kConfig,
                   {"evaluation", "\"tasks\"", "loopbank train"});
  EXPECT_FALSE(fs::exists(out));
}

TEST(Train, DataThatDoesNotFitIsRefusedBeforeAnythingIsWritten) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto out = directory.path() / "run";
  const auto foreign = directory.path() / "foreign.tokens";
  testing::write_sentences(foreign, 1, "0123456789abcdef");
  const auto empty = directory.path() / "empty.tokens";
  testing::write_sentences(empty, 0);
  const auto refused = [&](const std::function<void(RunConfig&)>& change, ErrorCode code,
                           const std::vector<std::string>& fragments) {
    auto other = run;
    change(other);
    expect_fragments(refusal(other, quiet(out)), code, fragments);
  };
  refused([&](auto& c) { c.data.train = foreign.string(); }, ErrorCode::kData,
          {foreign.string(), "0123456789abcdef"});
  refused([&](auto& c) { c.data.validation = foreign; }, ErrorCode::kData, {foreign.string()});
  refused([&](auto& c) { c.data.train = empty.string(); }, ErrorCode::kData,
          {empty.string(), "expected at least 2 tokens, got 0"});
  refused([&](auto& c) { c.data.train = "absent.tokens"; }, ErrorCode::kData, {"absent.tokens"});
  refused([&](auto& c) { c.data.train = ""; }, ErrorCode::kConfig, {"\"train\"", "--set"});
  refused([&](auto& c) { c.model.vocab_size = 256; }, ErrorCode::kConfig,
          {"vocab_size", "257", "256"});
  refused([&](auto& c) { c.training.sequence_length = 17; }, ErrorCode::kConfig,
          {"sequence_length", "17", "16"});
  if (!at::hasCUDA()) {
    refused([&](auto& c) { c.training.device = "cuda"; }, ErrorCode::kDevice, {"cuda", "cpu"});
  }
  EXPECT_FALSE(fs::exists(out));
}

/// Puts NaN in the weights of a checkpoint, with checksums that agree.
void poison(const fs::path& out, const RunConfig& run, int64_t step) {
  LanguageModel model(run.model);
  AdamW optimizer(model.parameters(), run.optimizer);
  const auto state = load_checkpoint(checkpoint_path(out, step), model, optimizer);
  {
    const at::NoGradGuard no_grad;
    model.parameters().get("final_norm.weight").value.detach()[0] = std::nan("");
  }
  const auto tokenizer = Tokenizer::bytes();
  save_checkpoint(out, {run, state, model, optimizer.state(), tokenizer});
}

TEST(Train, AStepWithoutAFiniteLossLeavesTheWeightsAsTheyWere) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto out = directory.path() / "run";
  (void)train(run, stopping_after(out, 2));
  poison(out, run, 2);
  set_log_level(LogLevel::kQuiet);
  (void)train(run, stopping_after(out, 2, ResumeMode::kResume));
  set_log_level(LogLevel::kInfo);
  EXPECT_EQ(read_file(checkpoint_path(out, 4) / "model.safetensors"),
            read_file(checkpoint_path(out, 2) / "model.safetensors"));
  EXPECT_EQ(read_file(checkpoint_path(out, 4) / "optimizer.safetensors"),
            read_file(checkpoint_path(out, 2) / "optimizer.safetensors"));
  const auto rows = read_rows(out / "metrics.jsonl");
  EXPECT_TRUE(rows.back()["skipped"].get<bool>());
  EXPECT_TRUE(rows.back()["loss"].is_null());
  const auto state = nlohmann::json::parse(read_file(checkpoint_path(out, 4) / "state.json"));
  EXPECT_EQ(state["skipped_steps"], 2);
  EXPECT_EQ(state["optimizer_steps"], 2);
}

TEST(Train, TenStepsWithoutAFiniteLossEndTheRunAndKeepTheLastGoodCheckpoint) {
  const TestDirectory directory;
  auto run = small_run(directory);
  run.training.steps = 40;
  run.training.checkpoint_every = 1;
  run.training.keep_checkpoints = 1;
  run.schedule = {.name = "warmup_stable_decay",
                  .initial_rate = 1e-3,
                  .peak_rate = 1e30,
                  .final_rate = 1e-3,
                  .warmup_fraction = 0.1};
  const auto out = directory.path() / "run";
  set_log_level(LogLevel::kQuiet);
  const auto error = refusal(run, quiet(out));
  set_log_level(LogLevel::kInfo);
  expect_fragments(error, ErrorCode::kConfig,
                   {"finite", "10th step in a row", "peak_rate (1e+30)", "step-"});
  ASSERT_EQ(saved_steps(out).size(), 1U);
  const auto last_good = saved_steps(out).front();
  const auto rows = read_rows(out / "metrics.jsonl");
  EXPECT_EQ(static_cast<int64_t>(rows.back()["step"]), last_good + kMaxSkippedSteps);
  verify_checkpoint(checkpoint_path(out, last_good));
  const auto model = load_model(checkpoint_path(out, last_good));
  for (const auto& parameter : model.parameters().all()) {
    EXPECT_TRUE(at::isfinite(parameter.value).all().item<bool>()) << parameter.name;
  }
}

TEST(Train, AFullDiskDuringACheckpointLosesNothingSaved) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto out = directory.path() / "run";
  (void)train(run, quiet(directory.path() / "whole"));
  (void)train(run, stopping_after(out, 2));
  const auto before = read_file(checkpoint_path(out, 2) / "model.safetensors");
  {
    const FileSizeLimit limit(before.size() / 2);
    expect_fragments(refusal(run, quiet(out, ResumeMode::kResume)), ErrorCode::kCheckpoint,
                     {"safetensors", "cannot write"});
  }
  EXPECT_EQ(saved_steps(out), (std::vector<int64_t>{2}));
  verify_checkpoint(checkpoint_path(out, 2));
  for (const auto& entry : fs::directory_iterator(out / "checkpoints")) {
    EXPECT_EQ(entry.path().filename(), "step-000002") << "left behind";
  }
  (void)train(run, quiet(out, ResumeMode::kResume));
  expect_same_results(directory.path() / "whole", out, 6);
}

TEST(CheckRun, TellsWhereARunWouldStartAndWritesNothing) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto out = directory.path() / "run";
  const auto check = check_run(run, quiet(out));
  EXPECT_EQ(check.first_step, 1);
  EXPECT_EQ(check.train_documents, 16);
  EXPECT_NEAR(check.epochs, 6.0 * 4 * 16 / static_cast<double>(check.train_tokens), 1e-12);
  EXPECT_FALSE(fs::exists(out));
  (void)train(run, stopping_after(out, 4));
  EXPECT_EQ(check_run(run, quiet(out, ResumeMode::kResume)).first_step, 5);
  EXPECT_THROW((void)check_run(run, quiet(out)), Error);

  auto bytes = read_file(run.data.train.joined());
  bytes[70] = static_cast<char>(bytes[70] ^ 1);
  write_file_atomically(run.data.train.joined(), bytes);
  EXPECT_THROW((void)check_run(run, quiet(out, ResumeMode::kResume)), Error);
}

}  // namespace
}  // namespace loopbank
