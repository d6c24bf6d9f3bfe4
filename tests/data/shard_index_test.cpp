#include "loopbank/data/shard_index.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "loopbank/support/sha256.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::content_of;
using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;

const std::string kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TokenShardIndex small_index() {
  return {.vocab_size = 70000,
          .vocab_hash = "0123456789abcdef",
          .shards = {{"shard-00000.tokens", 5, 2, 3, kAbc}, {"shard-00001.tokens", 7, 1, 3, kAbc}}};
}

TEST(ShardIndex, IsWrittenAsDocumentedAndReadBack) {
  const TestDirectory directory;
  const auto index = small_index();
  write_shard_index(directory.path(), index);
  const auto json = nlohmann::ordered_json::parse(content_of(directory.path() / "index.json"));
  const auto shard = [](const char* file, int tokens, int documents) {
    return nlohmann::ordered_json{{"file", file},
                                  {"tokens", tokens},
                                  {"documents", documents},
                                  {"bytes", 3},
                                  {"sha256", kAbc}};
  };
  const nlohmann::ordered_json expected = {
      {"format", "loopbank-token-shards"},
      {"version", 1},
      {"vocab_size", 70000},
      {"vocab_hash", "0123456789abcdef"},
      {"bytes_per_token", 4},
      {"tokens", 12},
      {"documents", 3},
      {"shards", {shard("shard-00000.tokens", 5, 2), shard("shard-00001.tokens", 7, 1)}}};
  EXPECT_EQ(json, expected);
  const auto read = read_shard_index(directory.path());
  EXPECT_EQ(read.vocab_size, index.vocab_size);
  EXPECT_EQ(read.vocab_hash, index.vocab_hash);
  EXPECT_EQ(read.shards, index.shards);
  EXPECT_EQ(read.num_tokens(), 12);
  EXPECT_EQ(read.num_documents(), 3);
}

TEST(ShardIndex, NamesSortInTheirOrder) {
  EXPECT_EQ(shard_name(0), "shard-00000.tokens");
  EXPECT_EQ(shard_name(99999), "shard-99999.tokens");
}

TEST(ShardIndex, WhatIsNoIndexIsRefusedByItsKey) {
  const TestDirectory directory;
  write_shard_index(directory.path(), small_index());
  const auto good = nlohmann::ordered_json::parse(content_of(directory.path() / "index.json"));
  const auto where = (directory.path() / "index.json").string();
  const auto refusal = [&](const std::string& patch) {
    auto json = good;
    json.merge_patch(nlohmann::ordered_json::parse(patch));
    directory.write("index.json", json.dump());
    return error_of(ErrorCode::kData,
                    [&] { static_cast<void>(read_shard_index(directory.path())); });
  };
  EXPECT_EQ(refusal(R"({"format": "other"})"),
            where + ": \"format\" expects \"loopbank-token-shards\", got \"other\".");
  EXPECT_EQ(refusal(R"({"version": 2})"), where + ": \"version\" expects 1, got 2.");
  EXPECT_EQ(refusal(R"({"tokens": 13})"), where + ": \"tokens\" expects 12, got 13.");
  EXPECT_EQ(refusal(R"({"documents": 4})"), where + ": \"documents\" expects 3, got 4.");
  EXPECT_EQ(refusal(R"({"bytes_per_token": 2})"),
            where + ": \"bytes_per_token\" expects 4, got 2.");
  EXPECT_EQ(refusal(R"({"vocab_size": null})"),
            where + ": expected the key \"vocab_size\", got none.");
  EXPECT_EQ(refusal(R"({"vocab_size": -1})"),
            where + ": \"vocab_size\" expects a whole number from 0, got -1.");
  EXPECT_EQ(refusal(R"({"vocab_hash": 5})"), where + ": \"vocab_hash\" expects a text, got 5.");
  EXPECT_EQ(refusal(R"({"shards": {}})"), where + ": \"shards\" expects a list, got {}.");
  EXPECT_EQ(refusal(R"({"shards": []})"),
            where + ": \"shards\" expects at least one shard, got [].");
  EXPECT_EQ(refusal(R"({"shards": [5]})"),
            where + ": shard 0: expected a JSON object, got number.");
  EXPECT_EQ(refusal(R"({"shards": [{"file": "../a", "tokens": 1, "documents": 1, "bytes": 1,
                                    "sha256": ""}]})"),
            where + ": shard 0: \"file\" expects the name of a file beside it, got \"../a\".");
  directory.write("index.json", "nonsense");
  EXPECT_EQ(
      error_of(ErrorCode::kData, [&] { static_cast<void>(read_shard_index(directory.path())); }),
      where + ":1:1: expected JSON, got broken JSON: unexpected 'n'; expected a value.");
}

TEST(VerifyShards, NamesTheFirstThatDiffersWithBothValues) {
  const TestDirectory directory;
  const auto shards = small_index().shards;
  const auto first = directory.write("shard-00000.tokens", "abc");
  const auto second = directory.write("shard-00001.tokens", "abc");
  for (const int num_threads : {0, 1, 3}) {
    const auto refusal = [&] {
      return error_of(ErrorCode::kData,
                      [&] { verify_shards(directory.path(), shards, num_threads); });
    };
    directory.write("shard-00001.tokens", "abc");
    verify_shards(directory.path(), shards, num_threads);
    directory.write("shard-00001.tokens", "abd");
    EXPECT_EQ(refusal(), second.string() + ": expected sha256 " + kAbc + ", got " +
                             sha256_of(second) +
                             ". The shard is damaged: delete it and give the same data tokenize "
                             "command again, which remakes it and the later ones.");
    directory.write("shard-00000.tokens", "ab");
    expect_contains(refusal(), first.string() + ": expected 3 bytes, got 2. The shard is damaged");
    std::filesystem::remove(first);
    expect_contains(refusal(), first.string() +
                                   ": expected a shard of 3 bytes, got no file that "
                                   "can be read: No such file or directory.");
    directory.write("shard-00000.tokens", "abc");
  }
}

}  // namespace
}  // namespace loopbank
