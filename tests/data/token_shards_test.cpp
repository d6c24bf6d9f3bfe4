#include "loopbank/data/token_shards.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "loopbank/data/shard_index.h"
#include "loopbank/data/token_file.h"
#include "loopbank/support/sha256.h"
#include "tests/data/token_bytes.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::content_of;
using testing::Documents;
using testing::documents_of;
using testing::error_of;
using testing::expect_contains;
using testing::kHash;
using testing::TestDirectory;
using testing::tokens_of;

void write_shard(const fs::path& path, const std::vector<std::vector<TokenId>>& documents,
                 int64_t vocab_size = 257, const std::string& hash = kHash) {
  TokenFileWriter writer(path, vocab_size, hash);
  for (const auto& document : documents) {
    writer.append(document);
  }
  writer.finish();
}

/// The list of the shards that lie in the folder.
TokenShardIndex index_of(const fs::path& folder, const std::vector<std::string>& names) {
  TokenShardIndex index{.vocab_size = 257, .vocab_hash = kHash, .shards = {}};
  for (const auto& name : names) {
    const TokenFile shard(folder / name);
    index.shards.push_back({.file = name,
                            .tokens = shard.num_tokens(),
                            .documents = shard.num_documents(),
                            .bytes = static_cast<int64_t>(fs::file_size(folder / name)),
                            .sha256 = sha256_of(folder / name)});
  }
  return index;
}

const std::vector<std::string> kNames = {"shard-00000.tokens", "shard-00001.tokens",
                                         "shard-00002.tokens"};

/// Three shards of 5, 1 and 4 tokens.
void write_shards(const TestDirectory& directory) {
  write_shard(directory.path() / kNames[0], {{1, 2, 256}, {3, 256}});
  write_shard(directory.path() / kNames[1], {{256}});
  write_shard(directory.path() / kNames[2], {{4, 5, 6, 256}});
  write_shard_index(directory.path(), index_of(directory.path(), kNames));
}

std::string error_of_opening(const TestDirectory& directory, bool verify = false) {
  const auto message = error_of(
      ErrorCode::kData, [&] { (void)open_token_shards(directory.path(), {.verify = verify}); });
  const auto folder = directory.path().string() + "/";
  EXPECT_EQ(message.find(folder), 0U) << message;
  return message.substr(std::min(message.size(), folder.size()));
}

TEST(TokenShards, AreOneCorpusInTheOrderOfTheList) {
  const TestDirectory directory;
  write_shards(directory);
  for (const bool verify : {false, true}) {
    const auto source = open_token_shards(directory.path(), {.verify = verify});
    EXPECT_EQ(source->num_tokens(), 10);
    EXPECT_EQ(source->vocab_size(), 257);
    EXPECT_EQ(source->format().name, "folder of 3 shards");
    EXPECT_EQ(source->format().vocab_hash, kHash);
    EXPECT_EQ(documents_of(*source), (Documents{{1, 2, 256}, {3, 256}, {256}, {4, 5, 6, 256}}));
    EXPECT_EQ(source->document(3), (std::pair<int64_t, int64_t>{6, 10}));
  }
}

TEST(TokenShards, ARangeMaySpanSeveralShards) {
  const TestDirectory directory;
  write_shards(directory);
  const auto source = open_token_shards(directory.path(), {});
  const auto all = tokens_of(*source);
  for (int64_t begin = 0; begin <= 10; ++begin) {
    for (int64_t count = 0; begin + count <= 10; ++count) {
      std::vector<int64_t> part(static_cast<size_t>(count) + 1, -1);
      source->copy(begin, count, part.data());
      std::vector<int64_t> expected(all.begin() + begin, all.begin() + begin + count);
      expected.push_back(-1);  // nothing behind the range is touched
      EXPECT_EQ(part, expected);
    }
  }
  std::vector<int64_t> out(11);
  EXPECT_EQ(error_of(ErrorCode::kShape, [&] { source->copy(1, 10, out.data()); }),
            directory.path().string() +
                ": expected a range within [0, 10) tokens, got 10 tokens from 1.");
  EXPECT_EQ(error_of(ErrorCode::kShape, [&] { (void)source->document(4); }),
            directory.path().string() + ": expected a document in [0, 4), got 4.");
}

TEST(TokenShards, AMissingShardIsNamed) {
  const TestDirectory directory;
  write_shards(directory);
  fs::remove(directory.path() / kNames[1]);
  EXPECT_EQ(error_of_opening(directory),
            "shard-00001.tokens: expected the shard that index.json names, got No such file or "
            "directory. Copy it again, or make it again with loopbank data tokenize.");
}

TEST(TokenShards, AShardOfAnotherSizeIsNamed) {
  const TestDirectory directory;
  write_shards(directory);
  const auto path = directory.path() / kNames[2];
  const auto size = fs::file_size(path);
  directory.write(kNames[2], content_of(path) + "x");
  EXPECT_EQ(error_of_opening(directory),
            fmt::format("shard-00002.tokens: expected a size in bytes of {}, as index.json says, "
                        "got {}. The shard and the index are not of one corpus: copy both again, "
                        "or make them again with loopbank data tokenize.",
                        size, size + 1));
}

TEST(TokenShards, AChangedByteIsFoundWhereVerified) {
  const TestDirectory directory;
  write_shards(directory);
  auto bytes = content_of(directory.path() / kNames[0]);
  bytes[64] = 9;  // the first token
  directory.write(kNames[0], bytes);
  EXPECT_EQ(tokens_of(*open_token_shards(directory.path(), {}))[0], 9);
  expect_contains(error_of_opening(directory, /*verify=*/true),
                  "shard-00000.tokens: expected sha256");
}

TEST(TokenShards, AnotherShardInItsPlaceIsFoundWhereVerified) {
  const TestDirectory directory;
  write_shards(directory);
  const auto right = sha256_of(directory.path() / kNames[2]);
  write_shard(directory.path() / kNames[2], {{4, 5, 7, 256}});  // in order by itself
  const auto wrong = sha256_of(directory.path() / kNames[2]);
  EXPECT_EQ(open_token_shards(directory.path(), {})->num_tokens(), 10);
  expect_contains(error_of_opening(directory, /*verify=*/true),
                  "shard-00002.tokens: expected sha256 " + right + ", got " + wrong + ".");
}

TEST(TokenShards, AShardOfAnotherVocabularyIsNamed) {
  const TestDirectory directory;
  write_shards(directory);
  write_shard(directory.path() / kNames[1], {{256}}, 257, "fedcba9876543210");
  expect_contains(error_of_opening(directory),
                  "shard-00001.tokens: expected a vocabulary with the hash 0123456789abcdef, as "
                  "index.json says, got fedcba9876543210.");
  write_shard(directory.path() / kNames[1], {{256}}, 300);
  expect_contains(error_of_opening(directory),
                  "shard-00001.tokens: expected a vocabulary size of 257, as index.json says, got "
                  "300.");
}

TEST(TokenShards, TheVocabularyMustBeTheTokenizers) {
  const TestDirectory directory;
  write_shards(directory);
  const auto tokenizer = Tokenizer::bytes();
  expect_contains(
      error_of(ErrorCode::kData,
               [&] { (void)open_token_shards(directory.path(), {.tokenizer = &tokenizer}); }),
      "expected tokens of the vocabulary " + tokenizer.hash());
}

TEST(TokenShards, CountsThatTheShardDoesNotHaveAreNamed) {
  const TestDirectory directory;
  write_shards(directory);
  auto index = index_of(directory.path(), kNames);
  index.shards[0].tokens = 6;
  write_shard_index(directory.path(), index);
  expect_contains(error_of_opening(directory),
                  "shard-00000.tokens: expected a number of tokens of 6, as index.json says, got "
                  "5.");
  index = index_of(directory.path(), kNames);
  index.shards[2].documents = 2;
  write_shard_index(directory.path(), index);
  expect_contains(error_of_opening(directory),
                  "shard-00002.tokens: expected a number of documents of 2");
}

TEST(TokenShards, AFolderWithoutAnIndexIsNoCorpus) {
  const TestDirectory directory;
  EXPECT_EQ(
      error_of(ErrorCode::kData, [&] { (void)open_token_shards(directory.path(), {}); }),
      fmt::format("{0}: expected a folder of shards with an index.json, got a folder without one. "
                  "Name a file, or a pattern such as {0}/*.bin.",
                  directory.path().string()));
}

TEST(TokenShards, TheIndexIsReadAsItsFormatSays) {
  const TestDirectory directory;
  write_shard(directory.path() / kNames[1], {{256}});
  const auto path = directory.path() / kNames[1];
  directory.write("index.json",
                  fmt::format(R"({{"format": "loopbank-token-shards", "version": 1,
      "vocab_size": 257, "vocab_hash": "{}", "bytes_per_token": 2, "tokens": 1, "documents": 1,
      "shards": [{{"file": "{}", "tokens": 1, "documents": 1, "bytes": {}, "sha256": "{}"}}]}})",
                              kHash, kNames[1], fs::file_size(path), sha256_of(path)));
  const auto source = open_token_shards(directory.path(), {.verify = true});
  EXPECT_EQ(source->format().name, "folder of 1 shard");
  EXPECT_EQ(documents_of(*source), (Documents{{256}}));
}

}  // namespace
}  // namespace loopbank
