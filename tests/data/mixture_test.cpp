/// BatchSampler over several sources.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "loopbank/data/sampler.h"
#include "loopbank/data/token_file.h"
#include "loopbank/support/random.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::TestDirectory;

constexpr uint64_t kMixtureSeed = 11;
constexpr int64_t kIdsOfASource = 10'000;  // id / this tells which source a token came from

/// A file whose ids all differ and tell their source.
std::shared_ptr<const TokenSource> source_with(const TestDirectory& directory, int64_t number,
                                               const std::vector<int64_t>& lengths) {
  const auto path = directory.path() / fmt::format("{}.tokens", number);
  TokenFileWriter writer(path, 65'536, "0123456789abcdef");
  auto next = static_cast<TokenId>(number * kIdsOfASource);
  for (const auto length : lengths) {
    std::vector<TokenId> document(static_cast<size_t>(length));
    std::iota(document.begin(), document.end(), next);
    next += static_cast<TokenId>(length);
    writer.append(document);
  }
  writer.finish();
  return std::make_shared<TokenFile>(path);
}

/// Lengths from 1 to `longest`, the same at each run.
std::vector<int64_t> random_lengths(size_t count, int64_t longest) {
  RandomStream random(derive_seed(kMixtureSeed, "lengths"));
  std::vector<int64_t> lengths(count);
  for (auto& length : lengths) {
    length = random.between(1, longest);
  }
  return lengths;
}

std::vector<int64_t> stream_of(BatchSampler& sampler, int64_t count) {
  const auto tokens = sampler.next(1, count).tokens.view({-1});
  return {tokens.data_ptr<int64_t>(), tokens.data_ptr<int64_t>() + count};
}

std::vector<WeightedSource> three_sources(const TestDirectory& directory) {
  return {{source_with(directory, 0, random_lengths(60, 40)), 0.5},
          {source_with(directory, 1, random_lengths(90, 9)), 0.2},
          {source_with(directory, 2, {100, 1, 7}), 0.3}};
}

TEST(Mixture, TheNextDocumentComesFromTheSourceFurthestBehindItsShare) {
  const TestDirectory directory;
  // Every document of a source has one length, so the order can be told by hand: g / w after each.
  const std::vector<WeightedSource> sources = {{source_with(directory, 0, {4, 4, 4}), 2.0},
                                               {source_with(directory, 1, {3, 3, 3, 3}), 1.0}};
  BatchSampler sampler(sources, kMixtureSeed);
  std::vector<int64_t> origins;
  for (const auto id : stream_of(sampler, 4 + 3 + 4 + 4 + 3 + 4)) {
    origins.push_back(id / kIdsOfASource);
  }
  EXPECT_EQ(origins, (std::vector<int64_t>{0, 0, 0, 0,  // A 2.0  B 0.0
                                           1, 1, 1,     // A 2.0  B 3.0
                                           0, 0, 0, 0,  // A 4.0  B 3.0
                                           1, 1, 1,     // A 4.0  B 6.0
                                           0, 0, 0, 0,  // A 6.0  B 6.0: the first of equals
                                           0, 0, 0, 0}));
}

TEST(Mixture, SharesStayWithinTheBoundAndComeToEqualTheWeights) {
  const TestDirectory directory;
  const auto sources = three_sources(directory);
  BatchSampler sampler(sources, kMixtureSeed);
  constexpr int64_t kLongest = 100;
  std::vector<double> given(sources.size());
  int64_t total = 0;
  for (int step = 0; step < 2000; ++step) {
    for (const auto id : stream_of(sampler, 37)) {
      given[static_cast<size_t>(id / kIdsOfASource)] += 1.0;
      ++total;
    }
    for (size_t i = 0; i < sources.size(); ++i) {
      // Within a document the source may be ahead by that document as well.
      const double off = given[i] - sources[i].weight * static_cast<double>(total);
      ASSERT_LE(std::abs(off), 2 * kLongest + kLongest) << "source " << i << " at " << total;
    }
  }
  for (size_t i = 0; i < sources.size(); ++i) {
    EXPECT_NEAR(given[i] / static_cast<double>(total), sources[i].weight, 0.004);
  }
}

TEST(Mixture, WeightsCountAsSharesWhateverTheirSum) {
  const TestDirectory directory;
  auto sources = three_sources(directory);
  BatchSampler small(sources, kMixtureSeed);
  for (auto& source : sources) {
    source.weight *= 1024.0;
  }
  BatchSampler large(sources, kMixtureSeed);
  EXPECT_EQ(stream_of(small, 3000), stream_of(large, 3000));
}

TEST(Mixture, EachSourceGivesItsDocumentsWholeAndOnceAnEpoch) {
  const TestDirectory directory;
  const auto sources = three_sources(directory);
  BatchSampler sampler(sources, kMixtureSeed);
  std::vector<std::vector<int64_t>> given(sources.size());
  for (const auto id : stream_of(sampler, 6000)) {
    given[static_cast<size_t>(id / kIdsOfASource)].push_back(id);
  }
  for (size_t i = 0; i < sources.size(); ++i) {
    const auto size = static_cast<size_t>(sources[i].tokens->num_tokens());
    ASSERT_GT(given[i].size(), size);
    std::vector<int64_t> epoch(given[i].begin(),
                               given[i].begin() + static_cast<std::ptrdiff_t>(size));
    std::sort(epoch.begin(), epoch.end());
    std::vector<int64_t> all(size);
    std::iota(all.begin(), all.end(), static_cast<int64_t>(i) * kIdsOfASource);
    EXPECT_EQ(epoch, all) << "source " << i;
    EXPECT_GT(sampler.state().sources[i].position.epoch, 0) << "source " << i;
  }
}

TEST(Mixture, TheSameFileTwiceGivesTwoOrders) {
  const TestDirectory directory;
  const auto source = source_with(directory, 0, std::vector<int64_t>(40, 5));
  BatchSampler sampler({{source, 1.0}, {source, 1.0}}, kMixtureSeed);
  const auto stream = stream_of(sampler, 400);
  std::vector<int64_t> first;
  std::vector<int64_t> second;
  for (size_t i = 0; i < stream.size(); ++i) {
    (i / 5 % 2 == 0 ? first : second).push_back(stream[i]);
  }
  EXPECT_NE(first, second);
  BatchSampler alone(source, kMixtureSeed);
  EXPECT_EQ(first, stream_of(alone, 200)) << "the first source keeps the order of a run with one";
}

TEST(Mixture, ResumesFromEveryStepAsIfNeverStopped) {
  const TestDirectory directory;
  const auto sources = three_sources(directory);
  BatchSampler never_stopped(sources, kMixtureSeed);
  for (int step = 0; step < 150; ++step) {
    const auto saved = to_json(never_stopped.state()).dump();
    BatchSampler resumed(sources, kMixtureSeed);
    resumed.restore(sampler_state_from_json(nlohmann::json::parse(saved)));
    EXPECT_EQ(resumed.state(), never_stopped.state());
    for (int more = 0; more < 3; ++more) {
      auto ahead = never_stopped;  // three steps on, compared at each step
      const auto expected = never_stopped.next(3, 7);
      const auto got = resumed.next(3, 7);
      ASSERT_TRUE(at::equal(got.tokens, expected.tokens)) << "step " << step << ": " << saved;
      ASSERT_TRUE(at::equal(got.targets, expected.targets)) << saved;
      ASSERT_EQ(resumed.state(), never_stopped.state());
      ASSERT_TRUE(at::equal(ahead.next(3, 7).tokens, expected.tokens));
    }
  }
  for (const auto& source : never_stopped.state().sources) {
    EXPECT_GT(source.position.epoch, 1) << "the test must cover an epoch's end of each source";
  }
}

TEST(Mixture, TheStreamIsTheSameHoweverItIsCutAndWithHoweverManyThreads) {
  const TestDirectory directory;
  const auto sources = three_sources(directory);
  BatchSampler whole(sources, kMixtureSeed);
  const auto expected = stream_of(whole, 4000);
  const auto threads = at::get_num_threads();
  for (const int count : {1, 2, 4}) {
    at::set_num_threads(count);
    BatchSampler cut(sources, kMixtureSeed);
    std::vector<int64_t> got;
    for (const int64_t length : {1, 7, 40, 952, 3000}) {
      const auto piece = stream_of(cut, length);
      got.insert(got.end(), piece.begin(), piece.end());
    }
    EXPECT_EQ(got, expected);
    EXPECT_EQ(cut.state(), whole.state());
  }
  at::set_num_threads(threads);
}

TEST(Mixture, TargetsFollowTheirInputsAcrossSources) {
  const TestDirectory directory;
  const auto sources = three_sources(directory);
  BatchSampler batches(sources, kMixtureSeed);
  BatchSampler stream(sources, kMixtureSeed);
  const auto expected = stream_of(stream, 200 * 6 + 1);
  for (int64_t step = 0; step < 200; ++step) {
    const auto batch = batches.next(2, 3);
    const auto targets = batch.targets.view({-1});
    for (int64_t i = 0; i < 6; ++i) {
      ASSERT_EQ(targets[i].item<int64_t>(), expected[static_cast<size_t>(step * 6 + i + 1)]);
    }
  }
}

TEST(Mixture, OneSourceSavesTheStateThatItAlwaysSaved) {
  const TestDirectory directory;
  const auto source = source_with(directory, 0, {4, 4});
  BatchSampler sampler(source, kMixtureSeed);
  static_cast<void>(sampler.next(1, 6));
  EXPECT_EQ(to_json(sampler.state()).dump(), R"({"epoch":0,"document":1,"offset":2})");
  BatchSampler weighted({{source, 0.25}}, kMixtureSeed);
  weighted.restore(
      sampler_state_from_json(nlohmann::json::parse(R"({"epoch":0,"document":1,"offset":2})")));
  EXPECT_TRUE(at::equal(weighted.next(2, 5).tokens, sampler.next(2, 5).tokens));
}

TEST(Mixture, SeveralSourcesSaveEachPositionAndCount) {
  const TestDirectory directory;
  BatchSampler sampler(
      {{source_with(directory, 0, {4, 4}), 1.0}, {source_with(directory, 1, {2, 2}), 1.0}},
      kMixtureSeed);
  static_cast<void>(sampler.next(1, 7));
  EXPECT_EQ(to_json(sampler.state()).dump(),
            R"({"current":1,"sources":[{"epoch":0,"document":1,"offset":0,"tokens":4},)"
            R"({"epoch":0,"document":1,"offset":1,"tokens":3}]})");
}

TEST(Mixture, RefusesStatesOfOtherSourcesAndStaysWhereItWas) {
  const TestDirectory directory;
  const std::vector<WeightedSource> sources = {{source_with(directory, 0, {4, 4}), 1.0},
                                               {source_with(directory, 1, {2, 2}), 1.0}};
  BatchSampler sampler(sources, kMixtureSeed);
  static_cast<void>(sampler.next(1, 7));
  const auto before = sampler.state();
  const auto refused = [&](SamplerState state) {
    auto message = error_of(ErrorCode::kCheckpoint, [&] { sampler.restore(state); });
    EXPECT_EQ(sampler.state(), before);
    return message;
  };
  EXPECT_EQ(refused({}),
            "sampler state: expected positions in 2 sources, got 1. The sources are not those that "
            "the run was started with.");
  auto state = before;
  state.current = 2;
  EXPECT_EQ(refused(state), "sampler state: expected a current source in [0, 2), got 2.");
  state = before;
  state.sources[0].position.offset = 3;
  EXPECT_EQ(refused(state),
            "sampler state: expected source 0 between two documents with 0 or more tokens given, "
            "got offset 3 and 4 tokens.");
  state = before;
  state.sources[1].tokens = -1;
  EXPECT_EQ(refused(state),
            "sampler state: expected source 1 between two documents with 0 or more tokens given, "
            "got offset 1 and -1 tokens.");
  state = before;
  state.sources[1].position.document = 9;
  EXPECT_EQ(refused(state), "sampler state: expected a document in [0, 2) of " +
                                sources[1].tokens->path().string() +
                                ", got 9. The file is not the one that the run was started with.");
  EXPECT_EQ(error_of(ErrorCode::kCheckpoint,
                     [] {
                       static_cast<void>(sampler_state_from_json(
                           nlohmann::json::parse(R"({"current": 0, "sources": 5})")));
                     }),
            "sampler state: expected a list in \"sources\", got 5.");
}

TEST(Mixture, RefusesWeightsThatAreNone) {
  const TestDirectory directory;
  const auto source = source_with(directory, 0, {4, 4});
  for (const double weight : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    EXPECT_EQ(
        error_of(ErrorCode::kConfig,
                 [&] {
                   const BatchSampler sampler({{source, weight}}, kMixtureSeed);
                 }),
        fmt::format("{}: expected a weight above 0, got {}.", source->path().string(), weight));
  }
  EXPECT_EQ(error_of(ErrorCode::kConfig,
                     [] { const BatchSampler none(std::vector<WeightedSource>{}, kMixtureSeed); }),
            "BatchSampler: expected at least one source, got none.");
}

}  // namespace
}  // namespace loopbank
