#include "loopbank/train/memory_fit.h"

#include <gtest/gtest.h>

#include "loopbank/support/error.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

/// Mem (g0 = 3) of the paper.
RunConfig paper_memory() {
  RunConfig config;
  config.model.max_loops = 3;
  config.model.local_memory_slots = 1024;
  config.model.global_memory_slots = 512;
  config.training.steps = 9655;
  config.training.batch = 352;
  config.training.micro_batch = 2;
  config.training.sequence_length = 4096;
  config.training.device = "cuda";
  return config;
}

TEST(FitToMemory, TakesTheMostRowsWithTheLeastRecompute) {
  const auto config = paper_memory();
  double least = 0.0;
  std::string before = "none";
  int64_t rows_before = 1000;
  // From a large card to a small one: fewer rows, then more that is computed again.
  for (const double bytes : {300e9, 141e9, 80e9, 40e9, 24e9, 16e9, 12e9}) {
    const auto fit = fit_to_memory(config, bytes, {.ranks = 8});
    ASSERT_TRUE(fit) << bytes;
    EXPECT_LE(fit->memory.total(), (1 - kMemoryReserve) * bytes);
    EXPECT_EQ(config.training.batch % fit->micro_batch, 0);
    if (fit->recompute == before) {
      EXPECT_LE(fit->micro_batch, rows_before);
    }
    // No more rows fit that are shared as evenly: a rank with most has so many.
    const auto of_rank = [](int64_t rows) { return rows * ((352 / rows + 7) / 8); };
    auto more = config;
    more.training.recompute = fit->recompute;
    for (int64_t rows = fit->micro_batch + 1; rows <= 352 / 8; ++rows) {
      more.training.micro_batch = rows;
      if (352 % rows == 0 && of_rank(rows) <= of_rank(fit->micro_batch)) {
        EXPECT_GT(run_memory(more, {.ranks = 8}).total(), (1 - kMemoryReserve) * bytes) << rows;
      }
    }
    before = fit->recompute;
    rows_before = fit->micro_batch;
    least = fit->memory.total();
  }
  EXPECT_GT(least, 0.0);
  EXPECT_FALSE(fit_to_memory(config, 4e9));
}

TEST(FitToMemory, ARankTakesNoMoreThanItsShareOfTheBatch) {
  const auto config = paper_memory();
  EXPECT_EQ(fit_to_memory(config, 1e15, {.ranks = 1})->micro_batch, 352);
  EXPECT_EQ(fit_to_memory(config, 1e15, {.ranks = 8})->micro_batch, 44);
  EXPECT_EQ(fit_to_memory(config, 1e15, {.ranks = 352})->micro_batch, 1);
  EXPECT_EQ(fit_to_memory(config, 1e15, {.ranks = 1024})->micro_batch, 1);
}

TEST(ExpectEnoughMemory, SaysInOneLineWhatToLower) {
  auto config = paper_memory();
  config.training.micro_batch = 32;
  config.training.device = "auto";
  EXPECT_NO_THROW(expect_enough_memory(config, 1e13, "cuda:0"));
  const auto refused =
      error_of(ErrorCode::kDevice, [&] { expect_enough_memory(config, 80e9, "cuda:0"); });
  for (const char* part :
       {"cuda:0: expected ",
        " for passes of 32 sequences with training.recompute none, got 80.0 GB. ",
        "--set training.micro_batch=", "--set training.recompute=none"}) {
    expect_contains(refused, part);
  }
  EXPECT_EQ(refused.find('\n'), std::string::npos);
  const auto hopeless =
      error_of(ErrorCode::kDevice, [&] { expect_enough_memory(config, 2e9, "cuda:0"); });
  expect_contains(hopeless, "Take a smaller model");
  // What it says does fit.
  const auto fit = fit_to_memory(
      [&] {
        auto on_card = config;
        on_card.training.device = "cuda:0";
        return on_card;
      }(),
      80e9);
  config.training.micro_batch = fit->micro_batch;
  config.training.recompute = fit->recompute;
  EXPECT_NO_THROW(expect_enough_memory(config, 80e9, "cuda:0"));
}

}  // namespace
}  // namespace loopbank
