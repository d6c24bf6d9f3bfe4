/// Which rank is missing. The ranks are threads of this process, each with a watch of its own over a
/// real TCPStore; a rank that is missing is one that never beats.

#include "loopbank/ranks/watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "loopbank/ranks/free_port.h"
#include "loopbank/ranks/process_group.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

constexpr double kWatchTimeout = 2.0;  // seconds: a quarter of a second a beat

RankPlace place_at(int64_t rank, int64_t size, int64_t port) {
  RankPlace place;
  place.rank = rank;
  place.size = size;
  place.master_address = "127.0.0.1";
  place.master_port = port;
  return place;
}

/// Ranks of one store, which this object serves.
class WatchedRanks {
 public:
  explicit WatchedRanks(int64_t size)
      : size_(size),
        port_(free_port()),
        store_(open_store(place_at(0, size, port_), /*serves=*/true, std::chrono::seconds(10))) {}

  [[nodiscard]] RankPlace place(int64_t rank) const { return place_at(rank, size_, port_); }
  [[nodiscard]] std::unique_ptr<RankWatch> watch(int64_t rank, WatchSettings settings = {}) const {
    settings.timeout_seconds = kWatchTimeout;
    return std::make_unique<RankWatch>(place(rank), settings);
  }
  /// A rank that was there once.
  void name_missing(int64_t rank) const {
    const std::string who = "node9, process 99";
    store_->set("who/" + std::to_string(rank), std::vector<uint8_t>(who.begin(), who.end()));
  }
  void end_store() { store_.reset(); }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int64_t size_;
  int64_t port_;
  StorePointer store_;
};

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(RankWatch, ARankThatIsGoneIsNamedWithinAFewBeats) {
  const WatchedRanks ranks(3);
  ranks.name_missing(2);
  const auto first = ranks.watch(0);
  const auto second = ranks.watch(1);
  std::string line;
  const double seconds =
      seconds_of([&] { line = first->explain("Connection closed by peer [127.0.0.1]:4711"); });
  EXPECT_EQ(line,
            "rank 2 (node9, process 99) ended without a word: killed, out of memory or crashed");
  EXPECT_LT(seconds, kWatchTimeout);
  EXPECT_EQ(second->explain("Timed out"), line);  // the first verdict stands on all ranks
}

TEST(RankWatch, ASilentRankIsFrozenOrCutOff) {
  const WatchedRanks ranks(3);
  ranks.name_missing(1);
  const auto first = ranks.watch(0);
  const auto third = ranks.watch(2);
  const auto line = third->explain("Timed out waiting 4000ms for recv operation to complete");
  EXPECT_EQ(line.rfind("rank 1 (node9, process 99) has not answered for ", 0), 0U) << line;
  EXPECT_TRUE(line.ends_with(" s: frozen or cut off")) << line;
}

TEST(RankWatch, WithoutAFailedExchangeASilentRankIsNoticedAfterTheTimeOut) {
  const WatchedRanks ranks(2);
  std::string line;
  std::mutex mutex;
  const auto watch = ranks.watch(0, {.end = [&](const std::string& text) {
                                   const std::lock_guard lock(mutex);
                                   line = text;
                                 }});
  const double seconds = seconds_of([&] {
    for (int i = 0; i < 200; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      const std::lock_guard lock(mutex);
      if (!line.empty()) {
        return;
      }
    }
  });
  EXPECT_EQ(line.rfind("rank 1 (unknown host) has not answered for ", 0), 0U) << line;
  EXPECT_GT(seconds, kWatchTimeout);
}

TEST(RankWatch, TheErrorThatEndsARankIsTold) {
  const WatchedRanks ranks(2);
  const auto first = ranks.watch(0);
  const auto second = ranks.watch(1);
  second->leave("runs/a: cannot write: No space left on device.");
  const auto line = first->explain("Connection closed by peer");
  EXPECT_EQ(line.rfind("rank 1 (", 0), 0U) << line;
  EXPECT_TRUE(line.ends_with(") ended with: runs/a: cannot write: No space left on device."))
      << line;
}

TEST(RankWatch, ARankThatIsBusyElsewhereIsNamedByItsExchanges) {
  const WatchedRanks ranks(3);
  const auto first = ranks.watch(0, {.exchanges = [] { return int64_t{812}; }});
  const auto second = ranks.watch(1, {.exchanges = [] { return int64_t{812}; }});
  const auto third = ranks.watch(2, {.exchanges = [] { return int64_t{811}; }});
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const auto line = first->explain("Timed out waiting 4000ms for recv operation to complete");
  EXPECT_EQ(line.rfind("rank 2 (", 0), 0U) << line;
  EXPECT_TRUE(line.ends_with("answers but has not come to exchange 812 for 2 s")) << line;
}

TEST(RankWatch, WhereAllAnswerTheNetworkIsSlow) {
  const WatchedRanks ranks(2);
  const auto first = ranks.watch(0);
  const auto second = ranks.watch(1);
  const auto line = second->explain("Timed out waiting 4000ms");
  EXPECT_EQ(
      line,
      "every rank answers, but an exchange failed: Timed out waiting 4000ms. A slow or partly "
      "cut network: raise training.rank_timeout (2 s passed)");
}

TEST(RankWatch, AStoreThatIsGoneNamesItsRank) {
  WatchedRanks ranks(3);
  const auto first = ranks.watch(0);
  auto second = ranks.watch(1);
  ranks.end_store();
  const auto line = second->explain("Connection reset by peer");
  EXPECT_EQ(line.rfind("rank 0 (", 0), 0U) << line;
  EXPECT_TRUE(
      line.ends_with("ended without a word: killed, out of memory or crashed, and with it "
                     "the store at " +
                     ranks.address()))
      << line;
  auto place = ranks.place(1);
  place.store_is_served = true;
  EXPECT_THROW(RankWatch(place, {.timeout_seconds = 1.0}), Error);
}

TEST(RankWatch, LeavingInGoodOrderIsNoFault) {
  WatchedRanks ranks(2);
  std::string line;
  auto first = ranks.watch(0, {.end = [&](const std::string& text) { line = text; }});
  auto second = ranks.watch(1, {.end = [&](const std::string& text) { line = text; }});
  EXPECT_LT(seconds_of([&] {
              second->leave();
              first->leave();
            }),
            2.0);
  EXPECT_EQ(line, "");
  RankWatch alone(RankPlace{}, {});
  EXPECT_EQ(alone.explain("as c10d said it"), "as c10d said it");
}

}  // namespace
}  // namespace loopbank
