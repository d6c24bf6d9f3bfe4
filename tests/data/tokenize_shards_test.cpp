#include "loopbank/data/tokenize_shards.h"

#include <gtest/gtest.h>

#include <map>

#include "loopbank/data/shard_index.h"
#include "loopbank/data/token_file.h"
#include "loopbank/support/folder_lock.h"
#include "loopbank/support/random.h"
#include "loopbank/support/sha256.h"
#include "tests/data/compressed.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::content_of;
using testing::error_of;
using testing::expect_contains;
using testing::FileSizeLimit;
using testing::TestDirectory;
using Path = std::filesystem::path;
using Contents = std::map<std::string, std::string>;

constexpr int64_t kShardTokens = 200'000;

/// Inputs of every form, with documents of very different lengths and lines that are none.
class ShardFiles {
 public:
  ShardFiles()
      : inputs{directory.write("a.jsonl", lines(1, 500)),
               directory.write("b.jsonl.zst", testing::zstd(lines(2, 700))),
               directory.write("c.txt", "one\n\ntwo"),
               directory.write("d.jsonl.gz", testing::gzip(lines(3, 300)))} {}

  [[nodiscard]] Path folder(const char* name) const { return directory.path() / name; }
  /// Passes over every bad line.
  TokenizeReport tokenize(const Path& folder, TokenizeOptions options = {},
                          int64_t shard_tokens = kShardTokens) const {
    options.skip_bad = INT64_MAX;
    return tokenize_to_shards(inputs, Tokenizer::bytes(), folder, shard_tokens, options);
  }
  TokenizeReport tokenize_skipping(const Path& folder, int64_t skip_bad) const {
    return tokenize_to_shards(inputs, Tokenizer::bytes(), folder, kShardTokens,
                              {.skip_bad = skip_bad});
  }

  /// Every file of a folder of shards; its lock holds nothing.
  static Contents contents(const Path& folder) {
    Contents all;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().filename() != ".lock") {
        all[entry.path().filename().string()] = content_of(entry.path());
      }
    }
    return all;
  }

  TestDirectory directory;
  std::vector<Path> inputs;

 private:
  static std::string lines(uint64_t seed, int count) {
    RandomStream random(seed);
    std::string text;
    for (int i = 0; i < count; ++i) {
      const auto length =
          random.below(20) == 0 ? random.between(30'000, 90'000) : random.between(0, 3'000);
      text += "{\"text\": \"" + std::string(static_cast<size_t>(length), 'x') + "\"}\n";
      text += random.below(30) == 0 ? "nonsense\n" : "";
    }
    return text + "nonsense at the end\n";
  }
};

/// Thrown in a callback, where a killed process would end.
struct Killed {};

TokenizeOptions killed_after(int num_calls) {
  return {.num_threads = 2, .on_progress = [=, left = num_calls](const auto&) mutable {
            if (--left < 0) {
              throw Killed();
            }
          }};
}

TEST(TokenizeToShards, TheShardsHoldTheDocumentsOfOneFileInOrder) {
  const ShardFiles files;
  const auto tokenizer = Tokenizer::bytes();
  const auto folder = files.folder("shards");
  const auto report = files.tokenize(folder);
  const auto whole = tokenize_files(files.inputs, tokenizer, files.folder("whole.tokens"),
                                    {.skip_bad = INT64_MAX});
  EXPECT_EQ(report.documents, whole.documents);
  EXPECT_EQ(report.tokens, whole.tokens);
  EXPECT_EQ(report.text_bytes, whole.text_bytes);
  EXPECT_EQ(report.num_bad_lines(), whole.num_bad_lines());
  EXPECT_EQ(report.resumed_shards, 0);
  EXPECT_GT(report.megabytes_per_second(), 0.0);

  const auto index = read_shard_index(folder);
  EXPECT_EQ(index.vocab_size, 257);
  EXPECT_EQ(index.vocab_hash, tokenizer.hash());
  EXPECT_EQ(index.num_tokens(), whole.tokens);
  EXPECT_EQ(index.num_documents(), whole.documents);
  ASSERT_GT(index.shards.size(), 10U);
  EXPECT_EQ(report.num_shards, static_cast<int64_t>(index.shards.size()));
  const TokenFile one(files.folder("whole.tokens"));
  std::vector<int64_t> expected(static_cast<size_t>(whole.tokens));
  one.copy(0, whole.tokens, expected.data());
  int64_t document = 0;
  for (size_t i = 0; i < index.shards.size(); ++i) {
    const auto& shard = index.shards[i];
    EXPECT_EQ(shard.file, shard_name(i));
    EXPECT_EQ(shard.sha256, sha256_of(folder / shard.file));
    EXPECT_EQ(shard.bytes, static_cast<int64_t>(std::filesystem::file_size(folder / shard.file)));
    const TokenFile file(folder / shard.file, true);
    file.expect_vocabulary(tokenizer);
    EXPECT_EQ(file.num_tokens(), shard.tokens);
    EXPECT_EQ(file.num_documents(), shard.documents);
    // It ends with the document that reaches kShardTokens, the last one with the corpus.
    const auto last = file.document(shard.documents - 1);
    EXPECT_LT(last.first, kShardTokens);
    EXPECT_TRUE(last.second >= kShardTokens || i + 1 == index.shards.size());
    std::vector<int64_t> ids(static_cast<size_t>(shard.tokens));
    file.copy(0, shard.tokens, ids.data());
    const auto begin = one.document(document).first;
    EXPECT_TRUE(std::equal(ids.begin(), ids.end(), expected.begin() + begin)) << shard.file;
    document += shard.documents;
  }
}

TEST(TokenizeToShards, TheFilesAreTheSameForAnyNumberOfThreads) {
  const ShardFiles files;
  files.tokenize(files.folder("one"), {.num_threads = 1});
  const auto one = ShardFiles::contents(files.folder("one"));
  for (const int num_threads : {2, 5}) {
    const auto folder = files.folder(num_threads == 2 ? "two" : "five");
    files.tokenize(folder, {.num_threads = num_threads});
    EXPECT_TRUE(ShardFiles::contents(folder) == one) << num_threads << " threads";
  }
}

TEST(TokenizeToShards, AJobThatWasStoppedGoesOnToTheSameFiles) {
  const ShardFiles files;
  const auto whole = files.tokenize(files.folder("whole"));
  const auto expected = ShardFiles::contents(files.folder("whole"));
  for (int after = 0; after < 4; ++after) {
    const auto folder = files.folder("cut");
    std::filesystem::remove_all(folder);
    int num_stops = 0;
    TokenizeReport report;
    for (bool done = false; !done; ++num_stops) {
      try {
        report = files.tokenize(folder, killed_after(after + num_stops % 2));
        done = true;
      } catch (const Killed&) {
        EXPECT_FALSE(std::filesystem::exists(folder / "index.json"));
      }
      ASSERT_LT(num_stops, 50);
    }
    EXPECT_GT(num_stops, 1);
    EXPECT_TRUE(ShardFiles::contents(folder) == expected) << after << " batches a process";
    EXPECT_GT(report.resumed_shards, 0);
    EXPECT_GT(report.resumed_text_bytes, kShardTokens);
    EXPECT_LT(report.resumed_text_bytes, report.text_bytes);
    EXPECT_EQ(report.tokens, whole.tokens);
    EXPECT_EQ(report.documents, whole.documents);
    EXPECT_EQ(report.text_bytes, whole.text_bytes);
    EXPECT_EQ(report.num_empty_documents(), whole.num_empty_documents());
    ASSERT_EQ(report.files.size(), whole.files.size());
    for (size_t i = 0; i < whole.files.size(); ++i) {
      EXPECT_EQ(static_cast<const TextReaderCounts&>(report.files[i].report),
                whole.files[i].report);
      EXPECT_EQ(report.files[i].report.bad_lines.size(), whole.files[i].report.bad_lines.size());
    }
  }
}

TEST(TokenizeToShards, ProgressCountsWhatWasThereBefore) {
  const ShardFiles files;
  const auto folder = files.folder("cut");
  EXPECT_THROW(files.tokenize(folder, killed_after(3)), Killed);
  TokenizeProgress first;
  TokenizeProgress last;
  const auto report = files.tokenize(folder, {.on_progress = [&](const TokenizeProgress& now) {
                                       first = first.tokens == 0 ? now : first;
                                       last = now;
                                     }});
  EXPECT_GT(first.tokens, report.resumed_text_bytes);
  EXPECT_EQ(last.tokens, report.tokens);
  EXPECT_EQ(last.documents, report.documents);
  EXPECT_EQ(last.text_bytes, report.text_bytes - report.resumed_text_bytes);
  EXPECT_EQ(last.bytes_read, last.bytes_total);
}

TEST(TokenizeToShards, AFinishedFolderIsLeftAsItIs) {
  const ShardFiles files;
  const auto folder = files.folder("shards");
  const auto whole = files.tokenize(folder);
  const auto before = ShardFiles::contents(folder);
  const auto again =
      files.tokenize(folder, {.on_progress = [](const auto&) { FAIL() << "worked again"; }});
  EXPECT_EQ(again.resumed_shards, whole.num_shards);
  EXPECT_EQ(again.num_shards, whole.num_shards);
  EXPECT_EQ(again.tokens, whole.tokens);
  EXPECT_EQ(again.num_bad_lines(), whole.num_bad_lines());
  EXPECT_TRUE(ShardFiles::contents(folder) == before);
  // A process that ended between progress.json and index.json.
  std::filesystem::remove(folder / "index.json");
  files.tokenize(folder, {.on_progress = [](const auto&) { FAIL() << "worked again"; }});
  EXPECT_TRUE(ShardFiles::contents(folder) == before);
}

TEST(TokenizeToShards, ADamagedShardIsNamedAndMadeAgainOnceItIsGone) {
  const ShardFiles files;
  const auto folder = files.folder("shards");
  files.tokenize(folder);
  const auto expected = ShardFiles::contents(folder);
  const auto shard = folder / shard_name(3);
  auto damaged = expected.at(shard_name(3));
  damaged[damaged.size() / 2] ^= 1;
  std::ofstream(shard, std::ios::binary) << damaged;
  const auto message = error_of(ErrorCode::kData, [&] { files.tokenize(folder); });
  expect_contains(message, shard.string() + ": expected sha256 ");
  expect_contains(message, ", got " + sha256_of(shard) + ". The shard is damaged: delete it");
  std::filesystem::remove(shard);
  const auto report = files.tokenize(folder);
  EXPECT_EQ(report.resumed_shards, 3);
  EXPECT_TRUE(ShardFiles::contents(folder) == expected);
  EXPECT_GT(report.num_bad_lines(), 20);
}

TEST(TokenizeToShards, AnotherJobsFolderIsRefusedWithWhatDiffers) {
  const ShardFiles files;
  const auto folder = files.folder("shards");
  EXPECT_THROW(files.tokenize(folder, killed_after(2)), Killed);
  const auto before = ShardFiles::contents(folder);
  const auto refusal = [&](const std::vector<Path>& inputs, int64_t shard_tokens,
                           bool append_end_of_text) {
    return error_of(ErrorCode::kConfig, [&] {
      tokenize_to_shards(inputs, Tokenizer::bytes(), folder, shard_tokens,
                         {.append_end_of_text = append_end_of_text});
    });
  };
  EXPECT_EQ(refusal(files.inputs, 5, true),
            folder.string() +
                ": expected --shard-tokens 200000, got 5: the folder holds shards of another job. "
                "Give the options and files that it was started with, or choose another --out.");
  expect_contains(refusal(files.inputs, kShardTokens, false),
                  "expected an end-of-text token behind each document, true, got false");
  expect_contains(refusal({files.inputs[0]}, kShardTokens, true),
                  "expected a number of input files of 4, got 1");
  auto swapped = files.inputs;
  std::swap(swapped[0], swapped[1]);
  expect_contains(refusal(swapped, kShardTokens, true), "expected input 1 to be a.jsonl of ");
  auto content = content_of(files.inputs[0]);
  content[15] = 'y';
  files.directory.write("a.jsonl", content);
  expect_contains(refusal(files.inputs, kShardTokens, true), "expected input 1 to be a.jsonl of ");
  EXPECT_TRUE(ShardFiles::contents(folder) == before);
}

TEST(TokenizeToShards, ShardsWithoutProgressAreNotWrittenOver) {
  const ShardFiles files;
  const auto folder = files.folder("shards");
  files.tokenize(folder);
  std::filesystem::remove(folder / "progress.json");
  EXPECT_EQ(error_of(ErrorCode::kConfig, [&] { files.tokenize(folder); }),
            folder.string() +
                ": expected a folder without shards, or with the progress.json that belongs to "
                "them, got one with shard-00000.tokens alone. Choose another --out.");
}

TEST(TokenizeToShards, ADamagedProgressIsRefused) {
  const ShardFiles files;
  const auto folder = files.folder("shards");
  files.tokenize(folder);
  const auto path = folder / "progress.json";
  const auto good = content_of(path);
  std::ofstream(path) << good.substr(0, good.size() / 2);
  expect_contains(error_of(ErrorCode::kData, [&] { files.tokenize(folder); }),
                  ": expected JSON, got broken JSON");
  auto changed = good;
  changed.replace(changed.find("\"input\": 0"), 10, "\"input\": 9");
  std::ofstream(path) << changed;
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { files.tokenize(folder); }),
            path.string() + ": shard 0: expected an end in one of 4 inputs, got input 9.");
}

TEST(TokenizeToShards, OneBadLineMoreThanMayBeSkippedEndsAFreshAndAFinishedJobAlike) {
  const ShardFiles files;
  const auto folder = files.folder("shards");
  const auto num_bad = files.tokenize(folder).num_bad_lines();
  ASSERT_GT(num_bad, 3);
  EXPECT_EQ(files.tokenize_skipping(folder, num_bad).num_bad_lines(), num_bad);
  const auto refusal = [&](const char* name, int64_t skip_bad) {
    return error_of(ErrorCode::kData,
                    [&] { (void)files.tokenize_skipping(files.folder(name), skip_bad); });
  };
  for (const int64_t skip_bad : {int64_t{0}, int64_t{1}, num_bad - 1}) {
    EXPECT_EQ(refusal("shards", skip_bad), refusal("other", skip_bad)) << skip_bad;
  }
  expect_contains(refusal("shards", 0), "a.jsonl:");
  expect_contains(refusal("shards", 0), "pass over N such lines with --skip-bad N.");
  // The last one stands in the last file of lines.
  expect_contains(refusal("shards", num_bad - 1), "d.jsonl.gz:");
  expect_contains(refusal("shards", num_bad - 1),
                  fmt::format("--skip-bad {} allows no more of them.", num_bad - 1));
}

TEST(TokenizeToShards, WhatAKilledProcessLeftIsCleanedUpAndNothingElse) {
  const ShardFiles files;
  const auto folder = files.folder("shards");
  std::filesystem::create_directories(folder);
  files.directory.write("shards/.shard-00000.tokens.tmp-1-0", "half");
  files.directory.write("shards/.other.tokens.tmp-1-0", "another job's");
  files.tokenize(folder);
  EXPECT_FALSE(std::filesystem::exists(folder / ".shard-00000.tokens.tmp-1-0"));
  EXPECT_TRUE(std::filesystem::exists(folder / ".other.tokens.tmp-1-0"));
}

TEST(TokenizeToShards, TwoProcessesDoNotShareAFolder) {
  const ShardFiles files;
  const auto folder = files.folder("shards");
  const FolderLock lock(folder, "tokenizes", ErrorCode::kData);
  expect_contains(error_of(ErrorCode::kData, [&] { files.tokenize(folder); }),
                  "expected a folder that no other process tokenizes into");
}

TEST(TokenizeToShards, AFullDiskKeepsTheFinishedShards) {
  const ShardFiles files;
  files.tokenize(files.folder("whole"));
  const auto expected = ShardFiles::contents(files.folder("whole"));
  // Between the sizes of the shards, so that the first of them fits and a later one does not.
  size_t limit = expected.at(shard_name(0)).size() + 1;
  const auto folder = files.folder("shards");
  std::string message;
  {
    const FileSizeLimit full(limit);
    message = error_of(ErrorCode::kData, [&] { files.tokenize(folder); });
  }
  size_t num_kept = 0;
  while (expected.at(shard_name(num_kept)).size() <= limit) {
    ++num_kept;
  }
  ASSERT_GT(num_kept, 0U);
  const auto part = (folder / shard_name(num_kept)).string();
  expect_contains(message, part + ": cannot write: File too large.");
  expect_contains(message, "A shard of 200000 tokens takes 400.0 kB, and ");
  expect_contains(
      message,
      " are free in " + folder.string() + ". " + std::to_string(num_kept) +
          " finished shards are kept: once there is room, the same command continues after them.");
  auto kept = ShardFiles::contents(folder);
  EXPECT_EQ(kept.size(), num_kept + 1);  // and progress.json
  EXPECT_EQ(files.tokenize(folder).resumed_shards, static_cast<int64_t>(num_kept));
  EXPECT_TRUE(ShardFiles::contents(folder) == expected);
}

TEST(TokenizeToShards, WhatCannotBeSharded) {
  const ShardFiles files;
  EXPECT_EQ(error_of(ErrorCode::kConfig, [&] { files.tokenize(files.folder("a"), {}, 0); }),
            "tokenize: expected shards of at least 1 token, got 0.");
  EXPECT_EQ(error_of(ErrorCode::kConfig,
                     [&] { tokenize_to_shards({}, Tokenizer::bytes(), files.folder("a")); }),
            "tokenize: expected at least one text file, got none.");
  const auto empty = files.directory.write("e.jsonl", "{\"text\": \"\"}\nnonsense\n");
  EXPECT_EQ(error_of(ErrorCode::kData,
                     [&] {
                       tokenize_to_shards({empty}, Tokenizer::bytes(), files.folder("b"),
                                          kShardTokens, {.skip_bad = 1});
                     }),
            empty.string() +
                ": expected at least one document, got none (1 empty, 1 bad lines) in 1 files.");
  EXPECT_TRUE(ShardFiles::contents(files.folder("b")).empty());
}

}  // namespace
}  // namespace loopbank
