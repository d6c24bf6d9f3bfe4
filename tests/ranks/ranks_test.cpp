#include "loopbank/ranks/ranks.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "loopbank/ranks/free_port.h"
#include "loopbank/support/error.h"
#include "processes.h"

namespace loopbank {
namespace {

using testing::run_ranks;

std::string text_of(const at::Tensor& x) {
  const auto flat = x.contiguous().view(-1);
  return fmt::format("{}",
                     fmt::join(flat.data_ptr<float>(), flat.data_ptr<float>() + x.numel(), " "));
}

TEST(Ranks, OneProcessIsAloneAndSendsNothing) {
  const Ranks ranks;
  EXPECT_TRUE(ranks.is_alone());
  EXPECT_TRUE(ranks.is_first());
  EXPECT_EQ(ranks.gather(std::string("a")), std::vector<std::string>{"a"});
  EXPECT_EQ(ranks.sum({1.0, 2.0}), (std::vector<double>{1.0, 2.0}));
  EXPECT_EQ(ranks.take_times().exchanging, 0.0);
}

TEST(Ranks, GatherReturnsTheTextsOfAllByRankWhateverTheirLengths) {
  const auto answers = run_ranks(3, [](const Ranks& ranks) {
    const auto mine = std::string(static_cast<size_t>(2 * ranks.rank()), 'x');
    return fmt::format("{} of {}: {}", ranks.rank(), ranks.size(),
                       fmt::join(ranks.gather(mine), ","));
  });
  EXPECT_EQ(answers,
            (std::vector<std::string>{"0 of 3: ,xx,xxxx", "1 of 3: ,xx,xxxx", "2 of 3: ,xx,xxxx"}));
}

TEST(Ranks, SumsOfNumbersAreInRankOrder) {
  // 1e16 + 1 - 1e16 is 0 from left to right and 1 in any order that ends with the 1.
  const auto answers = run_ranks(3, [](const Ranks& ranks) {
    const std::vector<double> values = {1e16, 1.0, -1e16};
    return fmt::format("{}", ranks.sum({values[static_cast<size_t>(ranks.rank())]})[0]);
  });
  EXPECT_EQ(answers, std::vector<std::string>(3, "0"));
}

TEST(Ranks, AllToAllSendsPartRToRankR) {
  const auto answers = run_ranks(2, [](const Ranks& ranks) {
    const auto from = (at::arange(4, at::kFloat) + 10.0 * ranks.rank()).view({2, 2});
    const auto to = at::empty({2, 2});
    ranks.all_to_all(from, to).wait();
    return text_of(to);
  });
  EXPECT_EQ(answers, (std::vector<std::string>{"0 1 10 11", "2 3 12 13"}));
}

TEST(Ranks, SumsOfSlicesAreInRankOrder) {
  // In fp32 2^24 + 1 is 2^24, so that only the order of the ranks gives 0.
  const auto answers = run_ranks(3, [](const Ranks& ranks) {
    const std::vector<double> values = {16777216.0, 1.0, -16777216.0};
    const auto from = at::full({3, 2}, values[static_cast<size_t>(ranks.rank())], at::kFloat);
    const auto to = at::empty({3, 2});
    ranks.sum_slices(from, to).wait();
    return text_of(to[0]);
  });
  EXPECT_EQ(answers, std::vector<std::string>(3, "0 0"));
}

TEST(Ranks, AllGatherAndBroadcastReachEveryRank) {
  const auto answers = run_ranks(2, [](const Ranks& ranks) {
    const auto mine = at::full({2}, static_cast<double>(ranks.rank() + 1), at::kFloat);
    const auto to = at::empty({2, 2});
    ranks.all_gather(mine, to).wait();
    ranks.broadcast(mine, 1).wait();
    return text_of(to) + " " + text_of(mine);
  });
  EXPECT_EQ(answers, std::vector<std::string>(2, "1 1 2 2 2 2"));
}

TEST(Ranks, ManyExchangesMayBeOnTheirWayAndAreTimed) {
  const auto answers = run_ranks(2, [](const Ranks& ranks) {
    const int64_t count = 1 << 18;
    std::vector<at::Tensor> from, to;
    std::vector<Exchange> exchanges;
    for (int i = 0; i < 6; ++i) {
      from.push_back(at::full({2, count}, static_cast<double>(i), at::kFloat));
      to.push_back(at::empty({2, count}));
      exchanges.push_back(ranks.sum_slices(from.back(), to.back()));
    }
    double sum = 0.0;
    for (int i = 0; i < 6; ++i) {
      exchanges[static_cast<size_t>(i)].wait();
      sum += to[static_cast<size_t>(i)][0].sum().item<double>() / static_cast<double>(count);
    }
    const auto times = ranks.take_times();
    const auto again = ranks.take_times();
    return fmt::format("{} {} {} {}", sum, times.exchanging > 0.0, times.waited > 0.0,
                       again.exchanging == 0.0);
  });
  EXPECT_EQ(answers, std::vector<std::string>(2, "30 true true true"));
}

TEST(Ranks, AnErrorOnOneRankEndsAllAndIsNamed) {
  const auto answers = run_ranks(3, [](const Ranks& ranks) {
    ranks.agree("test", [&] {
      if (ranks.rank() == 1) {
        fail(ErrorCode::kData, "file.tokens: expected tokens, got none.");
      }
    });
    return std::string("went on");
  });
  const std::string of_others =
      "error 4: test: expected all 3 ranks to go on, got the end of rank 1: file.tokens: expected "
      "tokens, got none.";
  EXPECT_EQ(answers,
            (std::vector<std::string>{of_others, "error 4: file.tokens: expected tokens, got none.",
                                      of_others}));
}

TEST(Ranks, ARankThatIsKilledEndsTheOthersInOneLine) {
  const auto answers = run_ranks(2, [](const Ranks& ranks) {
    ranks.wait_for_all();
    if (ranks.rank() == 1) {
      kill(getpid(), SIGKILL);
    }
    ranks.wait_for_all();
    return std::string("went on");
  });
  EXPECT_TRUE(answers[0].starts_with("error 7: ranks: expected an answer of all 2 ranks, got none"))
      << answers[0];
  EXPECT_EQ(answers[0].find('\n'), std::string::npos);
}

TEST(Ranks, ARankThatDoesNotComeEndsTheOthersAfterTheTimeOut) {
  const RankPlace place{
      .size = 2, .master_address = "127.0.0.1", .master_port = free_port(), .launcher = {}};
  const auto answers = run_ranks(1, [&](const Ranks&) {
    (void)Ranks::join(place, at::kCPU, {.timeout_seconds = 1.0});
    return std::string("met");
  });
  EXPECT_TRUE(answers[0].starts_with("error 7: ranks: rank 0 expected 2 ranks at 127.0.0.1"))
      << answers[0];
}

}  // namespace
}  // namespace loopbank
