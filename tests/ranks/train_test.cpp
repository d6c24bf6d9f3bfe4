/// Training over several ranks against one: the same micro-batches, the same run directory.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "../train/small_run.h"
#include "loopbank/model/weights.h"
#include "loopbank/train/batch_step.h"
#include "loopbank/train/run_init.h"
#include "processes.h"

namespace loopbank {
namespace {

using testing::DiskDirectory;
using testing::expect_same_results;
using testing::quiet;
using testing::run_ranks;
using testing::small_run;
using testing::timeless_rows;

/// Trains on `count` ranks; what each says at the end.
std::vector<std::string> train_on(int64_t count, const RunConfig& run,
                                  const TrainOptions& options) {
  return run_ranks(count, [&](const Ranks& ranks) {
    auto own = options;
    own.ranks = ranks;
    const auto result = train(run, own);
    return fmt::format("{} steps, loss {}, validation loss {}", result.steps, result.loss,
                       result.validation_loss);
  });
}

/// All say the same, which is no error.
void expect_agreement(const std::vector<std::string>& answers) {
  for (const auto& answer : answers) {
    EXPECT_EQ(answer, answers.front());
    EXPECT_NE(answer.find(" steps, loss "), std::string::npos) << answer;
  }
}

void expect_same_runs(const std::filesystem::path& a, const std::filesystem::path& b,
                      const RunConfig& run) {
  expect_same_results(a, b, run.training.steps);
}

/// Losses within `tolerance` of the other run's, everything else (norms of gradients, means by layer)
/// within a thousand times that: sums over other numbers of rows round otherwise, and AdamW makes whole
/// steps of what is rounding alone.
void expect_near_metrics(const std::filesystem::path& a, const std::filesystem::path& b,
                         double tolerance) {
  const auto one = timeless_rows(a), other = timeless_rows(b);
  ASSERT_EQ(one.size(), other.size());
  for (size_t i = 0; i < one.size(); ++i) {
    const auto flat = one[i].flatten(), other_flat = other[i].flatten();
    ASSERT_EQ(flat.size(), other_flat.size());
    for (const auto& [key, value] : flat.items()) {
      const auto x = value.get<double>(), y = other_flat.at(key).get<double>();
      const double allowed = key.find("loss") != std::string::npos ? tolerance : 1000 * tolerance;
      EXPECT_LE(std::abs(x - y), allowed * std::max(std::abs(x), 1.0)) << key << " of row " << i;
    }
  }
}

/// Clipped in every step, and of fewer steps.
RunConfig tiny_run(const DiskDirectory& directory) {
  auto run = small_run(directory);
  run.training.steps = 4;
  run.training.micro_batch = 2;
  run.optimizer.clip_norm = 0.1;
  return run;
}

TEST(TrainOverRanks, TwoRanksGiveTheBitsOfOneWithTheSamePasses) {
  const DiskDirectory directory;
  const auto run = tiny_run(directory);
  const auto one = directory.path() / "one", two = directory.path() / "two";
  expect_agreement(train_on(1, run, quiet(one)));
  expect_agreement(train_on(2, run, quiet(two)));
  expect_same_runs(one, two, run);
  for (const auto& row : timeless_rows(one)) {
    EXPECT_GT(row.value("gradient_norm", 1.0), run.optimizer.clip_norm);
  }
}

TEST(TrainOverRanks, FourRanksGiveTheBitsOfOneWithTheSamePasses) {
  const DiskDirectory directory;
  auto run = tiny_run(directory);
  run.training.micro_batch = 1;
  run.training.precision = "bf16";
  const auto one = directory.path() / "one", four = directory.path() / "four";
  expect_agreement(train_on(1, run, quiet(one)));
  expect_agreement(train_on(4, run, quiet(four)));
  expect_same_runs(one, four, run);
}

TEST(TrainOverRanks, ADenseModelWithTiedEmbeddingsToo) {
  const DiskDirectory directory;
  auto run = tiny_run(directory);
  run.model.max_loops = 0;
  run.model.local_memory_slots = 0;
  run.model.global_memory_slots = 0;
  run.model.tie_word_embeddings = true;
  const auto one = directory.path() / "one", two = directory.path() / "two";
  expect_agreement(train_on(1, run, quiet(one)));
  expect_agreement(train_on(2, run, quiet(two)));
  expect_same_runs(one, two, run);
}

// Every rank reads the model; old and new parameters have rates of their own in each one's slices.
TEST(TrainOverRanks, ARunThatStartsFromAModelToo) {
  const DiskDirectory directory;
  auto run = tiny_run(directory);
  auto dense = run.model;
  dense.max_loops = 0;
  dense.local_memory_slots = dense.global_memory_slots = 0;
  LanguageModel model(dense);
  model.parameters().initialize(/*seed=*/3);
  const auto folder = directory.path() / "dense";
  std::filesystem::create_directories(folder);
  save_model(model, folder);
  Tokenizer::bytes().save(folder / "tokenizer.json");
  run.training.init = folder.string();
  run.data.tokenizer.clear();
  run.model = model_from_init(model.config(), run.model, run.training.init);
  run.optimizer.init_multiplier = 0.5;
  run.optimizer.new_multiplier = 3.0;
  const auto one = directory.path() / "one", two = directory.path() / "two";
  expect_agreement(train_on(1, run, quiet(one)));
  expect_agreement(train_on(2, run, quiet(two)));
  expect_same_runs(one, two, run);
  EXPECT_EQ(load_stored_run(one / "run.toml").training.init_hash,
            load_stored_run(two / "run.toml").training.init_hash);
}

TEST(TrainOverRanks, ARankWithoutAPassTakesPartInTheRest) {
  const DiskDirectory directory;
  const auto run = tiny_run(directory);  // of two passes
  const auto one = directory.path() / "one", three = directory.path() / "three";
  expect_agreement(train_on(1, run, quiet(one)));
  expect_agreement(train_on(3, run, quiet(three)));
  expect_same_runs(one, three, run);
}

TEST(TrainOverRanks, SeveralPassesARankGiveTheLossesOfOneWithin1e6) {
  const DiskDirectory directory;
  auto run = tiny_run(directory);
  run.training.micro_batch = 1;
  const auto one = directory.path() / "one";
  expect_agreement(train_on(1, run, quiet(one)));
  for (const int64_t count : {2, 3}) {
    const auto several = directory.path() / fmt::format("ranks-{}", count);
    expect_agreement(train_on(count, run, quiet(several)));
    expect_near_metrics(one, several, 1e-6);
  }
}

TEST(TrainOverRanks, PassesThatAreComputedAgainGiveTheSameLosses) {
  const DiskDirectory directory;
  auto run = tiny_run(directory);
  const auto one = directory.path() / "one", two = directory.path() / "two";
  expect_agreement(train_on(1, run, quiet(one)));
  run.training.recompute = "loop";
  expect_agreement(train_on(2, run, quiet(two)));
  expect_near_metrics(one, two, 1e-6);
}

TEST(TrainOverRanks, TwoRunsOnTwoRanksAreEqualInEveryBit) {
  const DiskDirectory directory;
  auto run = tiny_run(directory);
  run.training.micro_batch = 1;
  const auto first = directory.path() / "first", second = directory.path() / "second";
  expect_agreement(train_on(2, run, quiet(first)));
  expect_agreement(train_on(2, run, quiet(second)));
  expect_same_runs(first, second, run);
}

TEST(TrainOverRanks, ACheckpointOfTwoRanksResumesOnAnyNumber) {
  const DiskDirectory directory;
  auto run = tiny_run(directory);
  run.training.micro_batch = 1;
  run.training.checkpoint_every = 2;
  const auto whole = directory.path() / "whole", half = directory.path() / "half";
  expect_agreement(train_on(2, run, quiet(whole)));
  // Rank 1 alone is asked to stop; both do, after the same step.
  const auto stopped = run_ranks(2, [&](const Ranks& ranks) {
    auto options = quiet(half);
    options.ranks = ranks;
    int asked = 0;
    options.should_stop = [&] { return ++asked == 2 && ranks.rank() == 1; };
    return fmt::format("{} steps", train(run, options).steps);
  });
  EXPECT_EQ(stopped, std::vector<std::string>(2, "2 steps"));
  for (const int64_t count : {1, 2, 3, 4}) {
    const auto again = directory.path() / fmt::format("again-{}", count);
    std::filesystem::copy(half, again, std::filesystem::copy_options::recursive);
    expect_agreement(train_on(count, run, quiet(again, ResumeMode::kResume)));
    if (count == 2) {
      expect_same_runs(whole, again, run);
    } else {
      expect_near_metrics(whole, again, 1e-6);
    }
    // The same data: the sampler stands where it would.
    const auto state = [&](const std::filesystem::path& out) {
      return read_file(checkpoint_path(out, run.training.steps) / "state.json");
    };
    EXPECT_EQ(nlohmann::json::parse(state(again))["sampler"],
              nlohmann::json::parse(state(whole))["sampler"]);
  }
}

TEST(TrainOverRanks, RanksWithOtherSettingsAreFoundBeforeTheFirstStep) {
  const DiskDirectory directory;
  const auto run = tiny_run(directory);
  const auto out = directory.path() / "run";
  const auto answers = run_ranks(3, [&](const Ranks& ranks) {
    auto own = run;
    own.training.seed = ranks.rank() == 1 ? 5 : 0;
    auto options = quiet(out);
    options.ranks = ranks;
    return std::to_string(train(own, options).steps);
  });
  EXPECT_EQ(answers,
            std::vector<std::string>(
                3,
                "error 7: training: expected the same training.seed on all ranks, got 0 on ranks "
                "0 and 2, 5 on rank 1. Start all of them with one program, config and data."));
  EXPECT_FALSE(std::filesystem::exists(out / "metrics.jsonl"));
}

TEST(TrainOverRanks, RanksOfAnotherVersionAreFoundBeforeTheFirstStep) {
  const DiskDirectory directory;
  const auto run = tiny_run(directory);
  const auto out = directory.path() / "run";
  const auto answers = run_ranks(2, [&](const Ranks& ranks) {
    auto options = quiet(out);
    options.ranks = ranks;
    options.version = ranks.rank() == 1 ? "0.0.9" : "0.1.0";
    return std::to_string(train(run, options).steps);
  });
  for (const auto& answer : answers) {
    EXPECT_EQ(answer,
              "error 7: training: expected the same version of loopbank on all ranks, got 0.1.0 on "
              "rank 0, 0.0.9 on rank 1. Start all of them with one program, config and data.");
  }
}

TEST(TrainOverRanks, AFolderThatHoldsARunEndsAllRanks) {
  const DiskDirectory directory;
  const auto run = tiny_run(directory);
  const auto out = directory.path() / "run";
  std::filesystem::create_directories(out);
  write_file_atomically(out / "metrics.jsonl", "");
  const auto answers = train_on(2, run, quiet(out));
  EXPECT_TRUE(answers[0].starts_with("error 5: ")) << answers[0];
  EXPECT_NE(answers[1].find("got the end of rank 0: "), std::string::npos) << answers[1];
}

TEST(TrainOverRanks, PassesAreSharedInRunsThatDifferByOne) {
  const TrainingConfig of_four{.batch = 4, .micro_batch = 1};
  EXPECT_EQ(passes_of(of_four, 0, 3).count, 2);
  EXPECT_EQ(passes_of(of_four, 1, 3).first, 2);
  EXPECT_EQ(passes_of(of_four, 2, 3).first, 3);
  EXPECT_EQ(passes_of(of_four, 4, 5).count, 0);
  // Without a micro-batch: the batch in equal passes, at least one a rank.
  const TrainingConfig whole{.batch = 12};
  EXPECT_EQ(rows_a_pass(whole, 1), 12);
  EXPECT_EQ(rows_a_pass(whole, 4), 3);
  EXPECT_EQ(rows_a_pass(whole, 5), 2);
  EXPECT_EQ(rows_a_pass(whole, 100), 1);
}

}  // namespace
}  // namespace loopbank
