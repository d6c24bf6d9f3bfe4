#include "loopbank/data/sampler.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "loopbank/data/token_file.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::TestDirectory;
using Ids = std::vector<TokenId>;
using Stream = std::vector<int64_t>;

constexpr uint64_t kSamplerSeed = 11;
constexpr TokenId kEndOfText = 60'000;

/// Documents of the given lengths; no id occurs twice except the end of text, so that every
/// token tells where it came from.
std::shared_ptr<const TokenFile> file_with(const TestDirectory& directory,
                                           const std::vector<int>& lengths) {
  const auto path = directory.path() / "a.tokens";
  TokenFileWriter writer(path, kEndOfText + 1, "0123456789abcdef");
  TokenId next = 0;
  for (const int length : lengths) {
    Ids document;
    for (int i = 0; i + 1 < length; ++i) {
      document.push_back(next++);
    }
    document.push_back(kEndOfText);
    writer.append(document);
  }
  writer.finish();
  return std::make_shared<TokenFile>(path);
}

/// The state of a sampler with one source.
SamplerState at_position(const StreamPosition& position) {
  return {.sources = {{.position = position}}};
}

Stream values_of(const at::Tensor& tensor) {
  const auto flat = tensor.contiguous().view({-1});
  return {flat.data_ptr<int64_t>(), flat.data_ptr<int64_t>() + flat.numel()};
}

/// The first `count` tokens of the sampler's stream, by its definition: the documents of each
/// epoch in their order, one epoch after another.
Stream stream_by_definition(const TokenFile& file, size_t count) {
  Stream stream;
  for (int64_t epoch = 0; stream.size() < count; ++epoch) {
    const Permutation order(static_cast<uint64_t>(file.num_documents()),
                            derive_seed(kSamplerSeed, fmt::format("documents of epoch {}", epoch)));
    for (int64_t i = 0; i < file.num_documents(); ++i) {
      const auto index = order[static_cast<uint64_t>(i)];
      const auto [begin, end] = file.document(static_cast<int64_t>(index));
      Stream document(static_cast<size_t>(end - begin));
      file.copy(begin, end - begin, document.data());
      stream.insert(stream.end(), document.begin(), document.end());
    }
  }
  stream.resize(count);
  return stream;
}

TEST(BatchSampler, GivesTheStreamInRowsThatOverlapByOne) {
  const TestDirectory directory;
  // Documents shorter and longer than a row, of one token, and of exactly one row.
  for (const auto& lengths :
       {std::vector<int>{1, 2, 50, 3, 8, 1, 17, 9}, {100}, {2}, {1, 1}, {3, 1}}) {
    const auto file = file_with(directory, lengths);
    for (const int64_t sequence_length : {1, 2, 8, 33}) {
      BatchSampler sampler(file, kSamplerSeed);
      constexpr int kBatches = 40;
      constexpr int64_t kRows = 3;
      const auto num_inputs = static_cast<size_t>(kBatches * kRows * sequence_length);
      const auto expected = stream_by_definition(*file, num_inputs + 1);
      Stream inputs;
      Stream targets;
      for (int i = 0; i < kBatches; ++i) {
        const auto batch = sampler.next(kRows, sequence_length);
        ASSERT_EQ(batch.tokens.sizes(), (at::IntArrayRef{kRows, sequence_length}));
        ASSERT_EQ(batch.targets.sizes(), batch.tokens.sizes());
        const auto tokens = values_of(batch.tokens);
        inputs.insert(inputs.end(), tokens.begin(), tokens.end());
        const auto after = values_of(batch.targets);
        targets.insert(targets.end(), after.begin(), after.end());
      }
      EXPECT_EQ(inputs, Stream(expected.begin(), expected.end() - 1));
      EXPECT_EQ(targets, Stream(expected.begin() + 1, expected.end()));
    }
  }
}

TEST(BatchSampler, ResumesFromEveryPositionAsIfNeverStopped) {
  const TestDirectory directory;
  for (const auto& lengths : {std::vector<int>{1, 2, 50, 3, 8, 1, 17, 9}, {2}, {1, 1, 1}, {40}}) {
    const auto file = file_with(directory, lengths);
    BatchSampler never_stopped(file, kSamplerSeed);
    for (int i = 0; i < 60; ++i) {
      // Saved as a checkpoint saves it, and read by a program that starts anew.
      const auto saved = to_json(never_stopped.state()).dump();
      BatchSampler resumed(file, kSamplerSeed);
      resumed.restore(sampler_state_from_json(nlohmann::json::parse(saved)));
      for (int more = 0; more < 3; ++more) {
        const auto expected = never_stopped.next(2, 7);
        const auto got = resumed.next(2, 7);
        ASSERT_TRUE(at::equal(got.tokens, expected.tokens)) << "after batch " << i << ": " << saved;
        ASSERT_TRUE(at::equal(got.targets, expected.targets)) << saved;
        ASSERT_EQ(resumed.state(), never_stopped.state());
      }
    }
    EXPECT_GT(never_stopped.state().sources[0].position.epoch, 3)
        << "the test must cover several epochs";
  }
}

TEST(BatchSampler, TheStreamIsTheSameHoweverItIsCut) {
  const TestDirectory directory;
  const auto file = file_with(directory, {5, 30, 2, 11});
  BatchSampler whole(file, kSamplerSeed);
  BatchSampler in_pieces(file, kSamplerSeed);
  const auto expected = whole.next(1, 120);
  std::vector<at::Tensor> pieces;
  for (const int64_t rows : {1, 3, 2, 4}) {
    pieces.push_back(in_pieces.next(rows, 12).tokens.reshape({-1}));
  }
  EXPECT_TRUE(at::equal(at::cat(pieces), expected.tokens.reshape({-1})));
  EXPECT_EQ(in_pieces.state(), whole.state());
}

TEST(BatchSampler, EachEpochHoldsEveryTokenOnceInAnotherOrder) {
  const TestDirectory directory;
  const auto file = file_with(directory, std::vector<int>(40, 5));
  BatchSampler sampler(file, kSamplerSeed);
  std::set<Stream> orders;
  for (int epoch = 0; epoch < 5; ++epoch) {
    EXPECT_EQ(sampler.state(), at_position({.epoch = epoch}));
    auto tokens = values_of(sampler.next(1, file->num_tokens()).tokens);
    orders.insert(tokens);
    std::sort(tokens.begin(), tokens.end());
    Stream in_file(static_cast<size_t>(file->num_tokens()));
    file->copy(0, file->num_tokens(), in_file.data());
    std::sort(in_file.begin(), in_file.end());
    EXPECT_EQ(tokens, in_file);
  }
  EXPECT_EQ(orders.size(), 5U);
}

TEST(BatchSampler, OtherSeedsGiveOtherOrders) {
  const TestDirectory directory;
  const auto file = file_with(directory, std::vector<int>(40, 5));
  const auto first = BatchSampler(file, 1).next(4, 16);
  EXPECT_TRUE(at::equal(first.tokens, BatchSampler(file, 1).next(4, 16).tokens));
  EXPECT_FALSE(at::equal(first.tokens, BatchSampler(file, 2).next(4, 16).tokens));
}

TEST(BatchSampler, ChangingABatchDoesNotChangeItsTargets) {
  const TestDirectory directory;
  BatchSampler sampler(file_with(directory, {20}), kSamplerSeed);
  auto batch = sampler.next(2, 4);
  const auto before = batch.targets.clone();
  batch.tokens.zero_();
  EXPECT_TRUE(at::equal(batch.targets, before));
}

TEST(BatchSampler, RefusesFilesAndRowsThatHoldNothing) {
  const TestDirectory directory;
  const auto file = file_with(directory, {1});
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { const BatchSampler sampler(file, kSamplerSeed); }),
            file->path().string() + ": expected at least 2 tokens, got 1.");
  BatchSampler sampler(file_with(directory, {4}), kSamplerSeed);
  EXPECT_EQ(error_of(ErrorCode::kShape, [&] { sampler.next(0, 8); }),
            "BatchSampler: expected at least 1 row of 1 token, got 0 rows of 8.");
  error_of(ErrorCode::kShape, [&] { sampler.next(1, 0); });
}

TEST(BatchSampler, RefusesAStateThatIsNoPositionInTheFileAndStaysWhereItWas) {
  const TestDirectory directory;
  const auto file = file_with(directory, {4, 4});
  BatchSampler sampler(file, kSamplerSeed);
  sampler.next(1, 3);
  const auto before = sampler.state();
  for (const StreamPosition& position :
       {StreamPosition{-1, 0, 0}, StreamPosition{0, 2, 0}, StreamPosition{0, -1, 0},
        StreamPosition{0, 0, 4}, StreamPosition{0, 0, -1}}) {
    error_of(ErrorCode::kCheckpoint, [&] { sampler.restore(at_position(position)); });
    EXPECT_EQ(sampler.state(), before);
  }
  EXPECT_EQ(error_of(ErrorCode::kCheckpoint,
                     [&] {
                       sampler.restore(at_position({0, 7, 0}));
                     }),
            "sampler state: expected a document in [0, 2) of " + file->path().string() +
                ", got 7. The file is not the one that the run was started with.");
}

TEST(SamplerState, RefusesJsonThatIsNoState) {
  const auto read = [](const char* text) {
    return error_of(ErrorCode::kCheckpoint, [&] {
      static_cast<void>(sampler_state_from_json(nlohmann::json::parse(text)));
    });
  };
  EXPECT_EQ(read(R"({"epoch": 1, "document": 2})"),
            "sampler state: expected a whole number in \"offset\", got nothing.");
  EXPECT_EQ(read(R"({"epoch": 1.5, "document": 2, "offset": 0})"),
            "sampler state: expected a whole number in \"epoch\", got 1.5.");
  EXPECT_EQ(read("[]"), "sampler state: expected a whole number in \"epoch\", got nothing.");
}

TEST(SequentialRows, CoverTheFileInOrderWithoutTheShortLastRow) {
  const TestDirectory directory;
  const auto file = file_with(directory, {7, 3, 13});  // 23 tokens: 22 inputs with a target
  Stream tokens(23);
  file->copy(0, 23, tokens.data());
  for (const int64_t sequence_length : {1, 2, 5, 11, 21, 22}) {
    const SequentialRows rows(file, sequence_length);
    ASSERT_EQ(rows.num_rows(), 22 / sequence_length);
    const auto covered = rows.num_rows() * sequence_length;
    const auto batch = rows.rows(0, rows.num_rows());
    EXPECT_EQ(values_of(batch.tokens), Stream(tokens.begin(), tokens.begin() + covered));
    EXPECT_EQ(values_of(batch.targets), Stream(tokens.begin() + 1, tokens.begin() + covered + 1));
    for (int64_t i = 0; i < rows.num_rows(); ++i) {
      EXPECT_TRUE(at::equal(rows.rows(i, 1).tokens[0], batch.tokens[i]));
    }
  }
}

TEST(SequentialRows, AFileShorterThanOneRowIsOneShorterRow) {
  const TestDirectory directory;
  const SequentialRows rows(file_with(directory, {7}), 100);
  EXPECT_EQ(rows.num_rows(), 1);
  EXPECT_EQ(rows.sequence_length(), 6);
  EXPECT_EQ(values_of(rows.rows(0, 1).targets), (Stream{1, 2, 3, 4, 5, kEndOfText}));
}

TEST(SequentialRows, RefusesRowsThatAreNotThere) {
  const TestDirectory directory;
  const auto file = file_with(directory, {9});
  const SequentialRows rows(file, 4);
  EXPECT_EQ(error_of(ErrorCode::kShape, [&] { static_cast<void>(rows.rows(1, 2)); }),
            "SequentialRows: expected rows within [0, 2), got 2 rows from 1.");
  error_of(ErrorCode::kShape, [&] { const SequentialRows none(file, 0); });
  error_of(ErrorCode::kData, [&] { const SequentialRows none(file_with(directory, {1}), 4); });
}

}  // namespace
}  // namespace loopbank
