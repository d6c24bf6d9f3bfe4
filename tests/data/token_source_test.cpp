#include "loopbank/data/token_source.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "loopbank/data/token_file.h"
#include "tests/data/token_bytes.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::bytes_of;
using testing::Documents;
using testing::documents_of;
using testing::error_of;
using testing::expect_contains;
using testing::kEnd;
using testing::TestDirectory;
using testing::tokens_of;

std::filesystem::path write_token_file(const std::filesystem::path& path) {
  const auto tokenizer = Tokenizer::bytes();
  TokenFileWriter writer(path, tokenizer.vocab_size(), tokenizer.hash());
  writer.append(std::vector<TokenId>{1, 2, 256});
  writer.append(std::vector<TokenId>{3, 256});
  writer.finish();
  return path;
}

TEST(OpenTokens, ATokenFileIsKnownByItsFirstBytesWhateverItsName) {
  const TestDirectory directory;
  const auto tokenizer = Tokenizer::bytes();
  for (const char* name : {"a.tokens", "a.bin", "a.pbin", "a"}) {
    const auto source = open_tokens(write_token_file(directory.path() / name),
                                    {.tokenizer = &tokenizer, .verify = true});
    EXPECT_EQ(source->format().name, "token file");
    EXPECT_TRUE(source->format().has_checksum);
    EXPECT_EQ(source->format().vocab_hash, tokenizer.hash());
    EXPECT_EQ(documents_of(*source), (Documents{{1, 2, 256}, {3, 256}}));
  }
}

TEST(OpenTokens, ATokenFileOfAnotherTokenizerIsRefused) {
  const TestDirectory directory;
  const auto path = directory.path() / "a.tokens";
  TokenFileWriter writer(path, 257, "0123456789abcdef");
  writer.append(std::vector<TokenId>{1, 256});
  writer.finish();
  const auto tokenizer = Tokenizer::bytes();
  EXPECT_EQ(open_tokens(path, {})->num_tokens(), 2);
  expect_contains(
      error_of(ErrorCode::kData, [&] { (void)open_tokens(path, {.tokenizer = &tokenizer}); }),
      "got those of 0123456789abcdef");
}

TEST(OpenTokens, APatternStandsForAllFilesThatMatchInTheOrderOfTheirNames) {
  const TestDirectory directory;
  directory.write("train_000010.bin", bytes_of<uint16_t>({5, kEnd}));
  directory.write("train_000002.bin", bytes_of<uint16_t>({3, kEnd, 4}));
  directory.write("train_000001.bin", bytes_of<uint16_t>({1, kEnd, 2, kEnd}));
  directory.write("val_000000.bin", bytes_of<uint16_t>({9, kEnd}));
  const auto tokenizer = Tokenizer::bytes();
  const auto pattern = directory.path() / "train_*.bin";
  const auto source = open_tokens(pattern, {.tokenizer = &tokenizer});
  EXPECT_EQ(source->path(), pattern);
  EXPECT_EQ(source->format().name, "3 x nanoGPT .bin");
  EXPECT_FALSE(source->format().marks_documents);
  EXPECT_EQ(source->vocab_size(), 257);
  EXPECT_EQ(documents_of(*source), (Documents{{1, 256}, {2, 256}, {3, 256}, {4}, {5, 256}}));
  source->expect_vocabulary(tokenizer);
}

TEST(OpenTokens, APatternWithoutMatchesAndABrokenMatchAreNamed) {
  const TestDirectory directory;
  const auto pattern = directory.path() / "*.bin";
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { (void)open_tokens(pattern, {}); }),
            pattern.string() + ": expected files that match this pattern, got none.");
  directory.write("a.bin", "odd");
  expect_contains(error_of(ErrorCode::kData, [&] { (void)open_tokens(pattern, {}); }),
                  (directory.path() / "a.bin").string() + ": expected a nanoGPT file");
}

TEST(OpenTokens, ANameWithABracketThatExistsIsNoPattern) {
  const TestDirectory directory;
  const auto path = write_token_file(directory.path() / "a[1].tokens");
  EXPECT_EQ(open_tokens(path, {})->num_documents(), 2);
}

TEST(OpenTokens, WhatIsNotThereIsNamed) {
  const TestDirectory directory;
  for (const char* name : {"absent.tokens", "absent.bin", "absent.pbin"}) {
    const auto path = directory.path() / name;
    expect_contains(error_of(ErrorCode::kData, [&] { (void)open_tokens(path, {}); }),
                    path.string() + ": cannot open: No such file or directory");
  }
}

TEST(OpenTokens, ThreadsMayReadOneSourceAtOnce) {
  const TestDirectory directory;
  std::vector<uint16_t> ids(20'000);
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<uint16_t>(i % 251 == 0 ? kEnd : i % 199);
  }
  const auto tokenizer = Tokenizer::bytes();
  const auto source =
      open_tokens(directory.write("a.bin", bytes_of(ids)), {.tokenizer = &tokenizer});
  const auto expected = documents_of(*source);
  std::vector<Documents> found(4);
  std::vector<std::thread> threads;
  for (auto& documents : found) {
    threads.emplace_back([&] { documents = documents_of(*source); });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  for (const auto& documents : found) {
    EXPECT_EQ(documents, expected);
  }
}

}  // namespace
}  // namespace loopbank
