#include "loopbank/serve/scheduler.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <future>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "tests/eval/bigram_model.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::random_model;

constexpr double kLongSeconds = 60.0;  // nothing here takes so long

GenerateOptions greedy_options(int64_t max_tokens) {
  GenerateOptions options;
  options.max_tokens = max_tokens;
  options.sampling.temperature = 0.0;
  return options;
}

/// How a piece of work ended, and its completions.
struct Ended {
  WorkOutcome outcome = WorkOutcome::kDone;
  std::optional<Error> error{};
  std::map<std::pair<size_t, int64_t>, Generation> completions{};
  std::string streamed{};
};

/// A model, its scheduler, and what becomes of the work.
class SchedulerTest : public ::testing::Test {
 protected:
  Scheduler& start(const SchedulerOptions& options = {}) {
    scheduler_ = std::make_unique<Scheduler>(model_, tokenizer_, options);
    return *scheduler_;
  }

  Work work_of(const std::string& client, const std::vector<std::string>& prompts,
               const GenerateOptions& options, int64_t completions = 1) {
    Work work;
    work.client = client;
    for (const auto& prompt : prompts) {
      work.requests.push_back(request_of(prompt, options, model_.config(), tokenizer_, "test"));
      work.requests.back().completions = completions;
    }
    return work;
  }

  /// Submits; the end comes with the future.
  std::pair<Scheduler::Ticket, std::future<Ended>> submit(Work work) {
    const auto ended = std::make_shared<Ended>();
    const auto promise = std::make_shared<std::promise<Ended>>();
    auto future = promise->get_future();
    const auto on_token = std::move(work.on_token);
    work.on_token = [ended, on_token](size_t prompt, const Generation& so_far,
                                      std::string_view piece) {
      ended->streamed += piece;
      if (on_token) {
        on_token(prompt, so_far, piece);
      }
    };
    work.on_finished = [ended](size_t prompt, Generation generation) {
      const auto completion = generation.completion;
      ended->completions.emplace(std::pair{prompt, completion}, std::move(generation));
    };
    work.on_end = [ended, promise](WorkOutcome outcome, const std::optional<Error>& error) {
      ended->outcome = outcome;
      ended->error = error;
      promise->set_value(*ended);
    };
    return {scheduler_->submit(std::move(work)), std::move(future)};
  }

  Tokenizer tokenizer_ = Tokenizer::bytes();
  LanguageModel model_ = random_model();
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(SchedulerTest, AnswersAreThoseOfAGeneratorAlone) {
  start(
      {.engine = {.batch_tokens = 24, .stretch = 2.0, .chooses_threads = true}, .client_texts = 3});
  std::vector<std::pair<Scheduler::Ticket, std::future<Ended>>> pending;
  std::vector<std::pair<std::string, GenerateOptions>> asked;
  for (int64_t i = 0; i < 30; ++i) {
    GenerateOptions options;
    options.max_tokens = 1 + i % 7;
    options.seed = i;
    asked.emplace_back(std::string("Ada Korin lives").substr(0, static_cast<size_t>(1 + i % 15)),
                       options);
    pending.push_back(submit(work_of(std::string(1, static_cast<char>('a' + i % 4)),
                                     {asked.back().first, "and"}, options, 2)));
  }
  for (size_t i = 0; i < pending.size(); ++i) {
    const auto ended = pending[i].second.get();
    EXPECT_EQ(ended.outcome, WorkOutcome::kDone);
    ASSERT_EQ(ended.completions.size(), 4U);
    const auto alone = Generator(model_, tokenizer_).generate(asked[i].first, asked[i].second);
    const auto& answer = ended.completions.at({0, 0});
    EXPECT_EQ(answer.tokens, alone.tokens);
    EXPECT_EQ(answer.text, alone.text);
    EXPECT_EQ(answer.log_probabilities, alone.log_probabilities);
  }
  EXPECT_TRUE(scheduler_->wait_idle(kLongSeconds));
  const auto state = scheduler_->state();
  EXPECT_EQ(state.waiting, 0);
  EXPECT_EQ(state.running, 0);
  EXPECT_GT(state.generated_tokens, 100);
  EXPECT_GT(state.prompt_tokens, 30);
}

TEST_F(SchedulerTest, AWorkOfManyPromptsKeepsNoOtherClientOut) {
  start({.client_texts = 4});
  std::mutex mutex;
  std::vector<std::string> order;
  std::vector<Work> works;
  works.push_back(work_of("a", std::vector<std::string>(200, "The"), greedy_options(8)));
  works.push_back(work_of("b", {"The"}, greedy_options(8)));
  for (auto& work : works) {
    work.on_end = [&, client = work.client](WorkOutcome, const std::optional<Error>&) {
      const std::lock_guard lock(mutex);
      order.push_back(client);
    };
    (void)scheduler_->submit(std::move(work));
  }
  ASSERT_TRUE(scheduler_->wait_idle(kLongSeconds));
  EXPECT_EQ(order, (std::vector<std::string>{"b", "a"}));
}

TEST_F(SchedulerTest, RefusesWhatIsOneTooManyAndSaysWhenToComeAgain) {
  start({.max_requests = 2});
  std::promise<void> go_on;
  auto gate = go_on.get_future().share();
  auto held = work_of("a", {"The"}, greedy_options(2));
  held.on_token = [gate](size_t, const Generation&, std::string_view) { gate.wait(); };
  auto first = submit(std::move(held));
  auto second = submit(work_of("b", {"The"}, greedy_options(2)));
  try {
    (void)submit(work_of("c", {"The"}, greedy_options(2)));
    ADD_FAILURE() << "taken";
  } catch (const SchedulerBusy& busy) {
    EXPECT_FALSE(busy.is_shutting_down);
    EXPECT_GE(busy.retry_after, 1);
    expect_contains(busy.what(), "at most 2 requests");
  }
  go_on.set_value();
  EXPECT_EQ(first.second.get().outcome, WorkOutcome::kDone);
  EXPECT_EQ(second.second.get().outcome, WorkOutcome::kDone);
  ASSERT_TRUE(scheduler_->wait_idle(kLongSeconds));
  EXPECT_EQ(submit(work_of("c", {"The"}, greedy_options(2))).second.get().outcome,
            WorkOutcome::kDone);
}

TEST_F(SchedulerTest, CancelledWorkIsToldNoFurtherTokenAndFreesItsPages) {
  start({.engine = {.stretch = 2.0, .chooses_threads = true, .share_beginnings = false}});
  auto work = work_of("a", {"The"}, greedy_options(50));
  std::promise<Scheduler::Ticket> ticket;
  auto known = ticket.get_future().share();
  int64_t told = 0;
  work.on_token = [&, known](size_t, const Generation&, std::string_view) {
    if (++told == 3) {
      scheduler_->cancel(known.get());
    }
  };
  auto pending = submit(std::move(work));
  ticket.set_value(pending.first);
  const auto ended = pending.second.get();
  EXPECT_EQ(ended.outcome, WorkOutcome::kCancelled);
  EXPECT_TRUE(ended.completions.empty());
  EXPECT_EQ(told, 3);
  ASSERT_TRUE(scheduler_->wait_idle(kLongSeconds));
  EXPECT_EQ(scheduler_->state().cache_bytes, 0);
  scheduler_->cancel(pending.first);  // has ended already
  EXPECT_EQ(submit(work_of("a", {"The"}, greedy_options(2))).second.get().outcome,
            WorkOutcome::kDone);
}

TEST_F(SchedulerTest, WhatWaitsCanBeCancelledToo) {
  start({.client_texts = 1});
  std::promise<void> go_on;
  auto gate = go_on.get_future().share();
  auto held = work_of("a", {"The"}, greedy_options(2));
  held.on_token = [gate](size_t, const Generation&, std::string_view) { gate.wait(); };
  auto first = submit(std::move(held));
  auto second = submit(work_of("a", {"The", "And"}, greedy_options(2)));
  scheduler_->cancel(second.first);
  go_on.set_value();
  EXPECT_EQ(second.second.get().outcome, WorkOutcome::kCancelled);
  EXPECT_EQ(first.second.get().outcome, WorkOutcome::kDone);
}

TEST_F(SchedulerTest, AnErrorOfAStepEndsWhatRunsAndNothingElse) {
  {
    const at::NoGradGuard no_grad;
    const auto embedding = model_.parameters().get("embedding.weight").value;
    embedding[static_cast<int64_t>('#')].fill_(std::numeric_limits<float>::quiet_NaN());
  }
  start({.engine = {.stretch = 2.0, .chooses_threads = true, .share_beginnings = false}});
  std::promise<void> go_on;
  auto gate = go_on.get_future().share();
  auto beside = work_of("a", {"The"}, greedy_options(40));
  beside.on_token = [gate](size_t, const Generation&, std::string_view) { gate.wait(); };
  auto runs = submit(std::move(beside));
  auto broken = submit(work_of("b", {"#"}, greedy_options(4)));
  go_on.set_value();
  const auto ended = broken.second.get();
  EXPECT_EQ(ended.outcome, WorkOutcome::kFailed);
  ASSERT_TRUE(ended.error.has_value());
  EXPECT_EQ(ended.error->code(), ErrorCode::kCheckpoint);
  EXPECT_EQ(runs.second.get().outcome, WorkOutcome::kFailed);
  ASSERT_TRUE(scheduler_->wait_idle(kLongSeconds));
  EXPECT_EQ(scheduler_->state().cache_bytes, 0);
  const auto after = submit(work_of("a", {"The"}, greedy_options(5))).second.get();
  EXPECT_EQ(after.outcome, WorkOutcome::kDone);
  EXPECT_EQ(after.completions.at({0, 0}).tokens,
            Generator(model_, tokenizer_).generate("The", greedy_options(5)).tokens);
}

TEST_F(SchedulerTest, AFunctionThatThrowsEndsItsWorkAlone) {
  start();
  auto thrower = work_of("a", {"The"}, greedy_options(20));
  thrower.on_token = [](size_t, const Generation& so_far, std::string_view) {
    if (so_far.tokens.size() == 2) {
      throw std::runtime_error("no more\nof this");
    }
  };
  auto other = submit(work_of("a", {"The"}, greedy_options(20)));
  const auto ended = submit(std::move(thrower)).second.get();
  EXPECT_EQ(ended.outcome, WorkOutcome::kFailed);
  ASSERT_TRUE(ended.error.has_value());
  EXPECT_STREQ(ended.error->what(), "no more");
  EXPECT_EQ(other.second.get().outcome, WorkOutcome::kDone);
}

TEST_F(SchedulerTest, DrainsAndEndsWhatIsLeft) {
  start();
  auto& scheduler = *scheduler_;
  std::promise<void> go_on;
  auto gate = go_on.get_future().share();
  auto held = work_of("a", {"The"}, greedy_options(3));
  held.on_token = [gate](size_t, const Generation&, std::string_view) { gate.wait(); };
  auto first = submit(std::move(held));
  scheduler.stop_taking();
  EXPECT_FALSE(scheduler.wait_idle(0.0));
  try {
    (void)submit(work_of("a", {"The"}, greedy_options(3)));
    ADD_FAILURE() << "taken";
  } catch (const SchedulerBusy& busy) {
    EXPECT_TRUE(busy.is_shutting_down);
  }
  go_on.set_value();
  EXPECT_TRUE(scheduler.wait_idle(kLongSeconds));
  EXPECT_EQ(first.second.get().outcome, WorkOutcome::kDone);
}

TEST_F(SchedulerTest, EndAllEndsWhatRunsAndWhatWaits) {
  start({.client_texts = 1});
  std::promise<void> has_begun;
  bool began = false;
  auto held = work_of("a", {"The"}, greedy_options(60));
  held.on_token = [&](size_t, const Generation&, std::string_view) {
    if (!std::exchange(began, true)) {
      has_begun.set_value();
    }
  };
  auto first = submit(std::move(held));
  auto second = submit(work_of("a", std::vector<std::string>(300, "The"), greedy_options(60)));
  has_begun.get_future().wait();
  scheduler_->end_all();
  EXPECT_EQ(second.second.get().outcome, WorkOutcome::kShutDown);
  EXPECT_NE(first.second.get().outcome, WorkOutcome::kFailed);
  EXPECT_TRUE(scheduler_->wait_idle(0.0));
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(SchedulerTest, MemoryIsFlatOverManyRequestsOfManyClients) {
  constexpr int64_t kCacheBytes = 400000;
  start({.engine = {.cache_bytes = kCacheBytes}, .client_texts = 6});
  int64_t asked = 0;
  const auto run = [&](int64_t requests) {
    for (int64_t i = 0; i < requests; i += 20) {
      std::vector<Scheduler::Ticket> tickets;
      for (int64_t r = 0; r < 20; ++r) {
        ++asked;
        auto work =
            work_of(fmt::format("client {}", asked),
                    {fmt::format("{} asks what the sea is", asked)}, greedy_options(1 + asked % 4));
        work.on_end = [&](WorkOutcome outcome, const std::optional<Error>& error) {
          EXPECT_NE(outcome, WorkOutcome::kFailed) << error->what();
        };
        work.requests.back().score_from = asked % 3 == 0 ? std::optional<int64_t>(1) : std::nullopt;
        tickets.push_back(scheduler_->submit(std::move(work)));
        if (asked % 7 == 0) {
          scheduler_->cancel(tickets.back());
        }
      }
      ASSERT_TRUE(scheduler_->wait_idle(kLongSeconds));
    }
  };
  run(600);
  const auto before = mallinfo2().uordblks;
  run(1800);
  const auto after = mallinfo2().uordblks;
  // One entry of a map that stays of each request would be more.
  EXPECT_LT(after, before + size_t{24} * 1800) << before << " bytes before, " << after << " after";
  EXPECT_GT(scheduler_->state().cache_bytes, kCacheBytes / 2);  // pages kept for sharing
  EXPECT_LE(scheduler_->state().cache_bytes, kCacheBytes);
}
#endif

TEST_F(SchedulerTest, RefusesWhatCanNeverHaveRoom) {
  start({.engine = {.cache_bytes = 60000}});
  expect_contains(error_of(ErrorCode::kConfig,
                           [&] { (void)submit(work_of("a", {"The"}, greedy_options(60))); }),
                  "expected at most 60000 bytes of keys and values");
  EXPECT_EQ(submit(work_of("a", {"T"}, greedy_options(2))).second.get().outcome,
            WorkOutcome::kDone);
}

TEST_F(SchedulerTest, WorkWithoutPromptsEndsAtOnce) {
  start();
  EXPECT_EQ(submit(Work{.client = "a"}).second.get().outcome, WorkOutcome::kDone);
}

}  // namespace
}  // namespace loopbank
