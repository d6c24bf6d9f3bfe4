#include "loopbank/dissect/text_rows.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;

constexpr const char* kLines =
    "{\"text\": \"abc\"}\n{\"text\": \"\"}\nbroken\n{\"text\": \"defgh\"}\n{\"text\": \"ij\"}\n";

TEST(TextRows, EveryTokenIsATargetOnceAndDocumentsEnd) {
  const TestDirectory directory;
  const auto path = directory.write("text.jsonl", kLines);
  const auto text =
      read_text_rows(path, Tokenizer::bytes(), /*num_rows=*/2, /*length=*/4, {.skip = 1});
  EXPECT_TRUE(at::equal(text.rows.tokens,
                        at::tensor({97, 98, 99, 256, 100, 101, 102, 103}, at::kLong).view({2, 4})));
  EXPECT_TRUE(
      at::equal(text.rows.targets,
                at::tensor({98, 99, 256, 100, 101, 102, 103, 104}, at::kLong).view({2, 4})));
  EXPECT_EQ(text.reading.documents, 2);  // the third was not needed
  EXPECT_EQ(text.reading.num_bad_lines(), 1);
  EXPECT_EQ(text.reading.first_bad_line, 3);
}

TEST(TextRows, AShortTextGivesTheRowsThatItFills) {
  const TestDirectory directory;
  const auto path = directory.write("text.txt", "abcdefghij");  // and an end of text
  const auto tokenizer = Tokenizer::bytes();
  EXPECT_EQ(read_text_rows(path, tokenizer, 9, 4).rows.tokens.sizes(), (at::IntArrayRef{2, 4}));
  const auto whole = read_text_rows(path, tokenizer, 9, 100).rows;
  EXPECT_EQ(whole.tokens.sizes(), (at::IntArrayRef{1, 10}));
  EXPECT_EQ(whole.targets[0][9].item<int64_t>(), 256);
}

TEST(TextRows, MistakesAreNamed) {
  const TestDirectory directory;
  const auto tokenizer = Tokenizer::bytes();
  const auto empty = directory.write("empty.jsonl", "{\"text\": \"\"}\nbroken\n");
  expect_contains(
      error_of(ErrorCode::kData,
               [&] { (void)read_text_rows(empty, tokenizer, 1, 4, {.skip = 1}); }),
      "empty.jsonl: expected text of at least 2 tokens, got 0 in 0 documents (1 empty, 1 bad "
      "lines). Give a longer text");
  expect_contains(
      error_of(ErrorCode::kData,
               [&] { (void)read_text_rows(directory.path() / "no.txt", tokenizer, 1, 4); }),
      "no.txt");
}

}  // namespace
}  // namespace loopbank
