#include "loopbank/data/tokenize.h"

#include <gtest/gtest.h>

#include "loopbank/data/token_file.h"
#include "loopbank/support/random.h"
#include "tests/data/compressed.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::content_of;
using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;
using Names = std::vector<std::string>;

constexpr const char* kThreeDocuments =
    "{\"text\": \"ab\"}\n"
    "{\"text\": \"\"}\n"
    "nonsense\n"
    "{\"text\": \"c\\u00e9\"}\n";

/// A few MB of documents of very different lengths, so that batches finish out of order.
std::string long_corpus() {
  RandomStream random(5);
  std::string text;
  for (int i = 0; i < 600; ++i) {
    const auto length =
        random.below(10) == 0 ? random.between(50'000, 60'000) : random.between(1, 3'000);
    text += "{\"text\": \"";
    for (int64_t at = 0; at < length; ++at) {
      text.push_back(static_cast<char>('a' + random.below(26)));
    }
    text += "\"}\n";
  }
  return text;
}

std::string decoded(const TokenFile& file, const Tokenizer& tokenizer, int64_t index) {
  const auto [begin, end] = file.document(index);
  std::vector<int64_t> wide(static_cast<size_t>(end - begin));
  file.copy(begin, end - begin, wide.data());
  return tokenizer.decode(std::vector<TokenId>(wide.begin(), wide.end()));
}

TEST(TokenizeFiles, WritesEveryDocumentWithItsEndOfText) {
  const TestDirectory directory;
  const auto tokenizer = Tokenizer::bytes();
  const auto output = directory.path() / "out" / "a.tokens";
  const auto report = tokenize_files({directory.write("a.jsonl", kThreeDocuments),
                                      directory.write("b.txt.zst", testing::zstd("x\ny"))},
                                     tokenizer, output, {.skip_bad = 1});
  EXPECT_EQ(report.documents, 3);
  EXPECT_EQ(report.tokens, 3 + 4 + 4);
  EXPECT_EQ(report.text_bytes, 2 + 3 + 3);
  EXPECT_GT(report.seconds, 0.0);
  EXPECT_GT(report.megabytes_per_second(), 0.0);
  EXPECT_EQ(report.num_bad_lines(), 1);
  EXPECT_EQ(report.num_empty_documents(), 1);
  ASSERT_EQ(report.files.size(), 2U);
  EXPECT_EQ(report.files[0].report.first_bad_line, 3);
  const TokenFile file(output, true);
  file.expect_vocabulary(tokenizer);
  ASSERT_EQ(file.num_documents(), 3);
  EXPECT_EQ(decoded(file, tokenizer, 0), "ab<|endoftext|>");
  EXPECT_EQ(decoded(file, tokenizer, 1), "c\xC3\xA9<|endoftext|>");
  EXPECT_EQ(decoded(file, tokenizer, 2), "x\ny<|endoftext|>");
}

TEST(TokenizeFiles, EndOfTextCanBeLeftOut) {
  const TestDirectory directory;
  const auto tokenizer = Tokenizer::bytes();
  const auto output = directory.path() / "a.tokens";
  const auto report = tokenize_files({directory.write("a.jsonl", kThreeDocuments)}, tokenizer,
                                     output, {.skip_bad = 1, .append_end_of_text = false});
  EXPECT_EQ(report.tokens, 5);
  EXPECT_EQ(decoded(TokenFile(output), tokenizer, 0), "ab");
}

TEST(TokenizeFiles, TheFileIsTheSameForAnyNumberOfThreads) {
  const TestDirectory directory;
  const auto tokenizer = Tokenizer::bytes();
  const auto input = directory.write("a.jsonl", long_corpus());
  const auto one = directory.path() / "one.tokens";
  tokenize_files({input, input}, tokenizer, one, {.num_threads = 1});
  for (const int num_threads : {2, 5, 0}) {
    const auto many = directory.path() / "many.tokens";
    const auto report =
        tokenize_files({input, input}, tokenizer, many, {.num_threads = num_threads});
    EXPECT_EQ(report.documents, 1200);
    EXPECT_TRUE(content_of(many) == content_of(one)) << num_threads << " threads";
  }
  const TokenFile file(one, true);
  EXPECT_EQ(file.num_documents(), 1200);
  EXPECT_EQ(decoded(file, tokenizer, 599), decoded(file, tokenizer, 1199));
}

TEST(TokenizeFiles, ProgressComesUpToTheWholeFile) {
  const TestDirectory directory;
  const auto input = directory.write("a.jsonl", long_corpus());
  TokenizeProgress last;
  int num_calls = 0;
  const auto report = tokenize_files({input}, Tokenizer::bytes(), directory.path() / "a.tokens",
                                     {.num_threads = 2, .on_progress = [&](const auto& progress) {
                                        EXPECT_GE(progress.tokens, last.tokens);
                                        last = progress;
                                        ++num_calls;
                                      }});
  EXPECT_GT(num_calls, 2);
  EXPECT_EQ(last.tokens, report.tokens);
  EXPECT_EQ(last.documents, report.documents);
  EXPECT_EQ(last.bytes_read, std::filesystem::file_size(input));
  EXPECT_EQ(last.bytes_total, last.bytes_read);
}

TEST(TokenizeFiles, StopsAtABadLineAndLeavesNothing) {
  const TestDirectory directory;
  const auto input = directory.write("a.jsonl", kThreeDocuments);
  EXPECT_EQ(
      error_of(ErrorCode::kData,
               [&] { tokenize_files({input}, Tokenizer::bytes(), directory.path() / "a.tokens"); }),
      input.string() +
          ":3: broken JSON at column 1: unexpected 'n'; expected a value. Correct or drop the "
          "line, or pass over N such lines with --skip-bad N.");
  EXPECT_EQ(directory.names(), Names{"a.jsonl"});
}

TEST(TokenizeFiles, SkipBadCountsOverAllFiles) {
  const TestDirectory directory;
  const auto input = directory.write("a.jsonl", kThreeDocuments);
  const auto output = directory.path() / "a.tokens";
  const auto report =
      tokenize_files({input, input, input}, Tokenizer::bytes(), output, {.skip_bad = 3});
  EXPECT_EQ(report.num_bad_lines(), 3);
  EXPECT_EQ(report.documents, 6);
  expect_contains(
      error_of(ErrorCode::kData,
               [&] {
                 tokenize_files({input, input, input}, Tokenizer::bytes(), output, {.skip_bad = 2});
               }),
      "a.jsonl:3: broken JSON at column 1: unexpected 'n'; expected a value. "
      "--skip-bad 2 allows no more of them.");
}

TEST(TokenizeFiles, ABrokenInputKeepsTheOldOutput) {
  const TestDirectory directory;
  const auto packed = testing::zstd(long_corpus());
  const auto input = directory.write("a.jsonl.zst", packed.substr(0, packed.size() - 10));
  const auto output = directory.write("a.tokens", "old");
  expect_contains(
      error_of(ErrorCode::kData, [&] { tokenize_files({input}, Tokenizer::bytes(), output); }),
      "the zstd stream is truncated");
  EXPECT_EQ(content_of(output), "old");
  EXPECT_EQ(directory.names(), (Names{"a.jsonl.zst", "a.tokens"}));
}

TEST(TokenizeFiles, InputsThatCannotBeReadShowBeforeAnyWork) {
  const TestDirectory directory;
  const auto good = directory.write("a.jsonl", kThreeDocuments);
  const auto output = directory.path() / "a.tokens";
  expect_contains(error_of(ErrorCode::kData,
                           [&] {
                             tokenize_files({good, directory.path() / "absent.jsonl"},
                                            Tokenizer::bytes(), output,
                                            {.on_progress = [](const auto&) { FAIL(); }});
                           }),
                  "absent.jsonl: cannot open: No such file or directory.");
  EXPECT_EQ(error_of(ErrorCode::kConfig, [&] { tokenize_files({}, Tokenizer::bytes(), output); }),
            "tokenize: expected at least one text file, got none.");
}

TEST(TokenizeFiles, AFileWithoutDocumentsIsRefused) {
  const TestDirectory directory;
  const auto input = directory.write("a.jsonl", "{\"text\": \"\"}\nnonsense\n");
  EXPECT_EQ(error_of(ErrorCode::kData,
                     [&] {
                       tokenize_files({input}, Tokenizer::bytes(), directory.path() / "a.tokens",
                                      {.skip_bad = 1});
                     }),
            input.string() +
                ": expected at least one document, got none (1 empty, 1 bad lines) in 1 files.");
  EXPECT_EQ(directory.names(), Names{"a.jsonl"});
}

}  // namespace
}  // namespace loopbank
