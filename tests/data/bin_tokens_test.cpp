#include "loopbank/data/bin_tokens.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/data/token_bytes.h"
#include "tests/support/test_directory.h"
#include "tests/tokenize/small_tokenizer.h"

namespace loopbank {
namespace {

using testing::bytes_of;
using testing::Documents;
using testing::documents_of;
using testing::error_of;
using testing::expect_contains;
using testing::kEnd;
using testing::llmc_header;
using testing::TestDirectory;
using testing::tokens_of;
using ShortIds = std::vector<uint16_t>;

constexpr int32_t kGpt2Magic = 20240520;
constexpr int32_t kLlama3Magic = 20240801;

std::string llmc_file(const ShortIds& ids) {
  return llmc_header(kGpt2Magic, 1, static_cast<int32_t>(ids.size())) + bytes_of(ids);
}

std::shared_ptr<const TokenSource> open_with_bytes(const std::filesystem::path& path) {
  const auto tokenizer = Tokenizer::bytes();
  return open_bin_tokens(path, {.tokenizer = &tokenizer});
}

/// 256 ids, none of them between documents.
Tokenizer tokenizer_without_end_of_text(const TestDirectory& directory) {
  auto json = testing::small_tokenizer({});
  json["added_tokens"] = testing::Json::array();
  json["model"]["vocab"].erase("<|endoftext|>");
  return Tokenizer::load(directory.write("tokenizer.json", json.dump()));
}

/// The error of opening a file of these bytes, without the path before it.
std::string bin_error(const std::string& bytes) {
  const TestDirectory directory;
  const auto path = directory.write("a.bin", bytes);
  const auto message = error_of(ErrorCode::kData, [&] { (void)open_with_bytes(path); });
  EXPECT_EQ(message.find(path.string() + ": "), 0U) << message;
  return message.substr(std::min(message.size(), path.string().size() + 2));
}

TEST(BinTokens, LlmcWritesTheEndOfTextBeforeEachDocument) {
  const TestDirectory directory;
  const auto source = open_with_bytes(
      directory.write("a.bin", llmc_file({kEnd, 1, 2, 3, kEnd, 4, kEnd, kEnd, 5, 6})));
  EXPECT_EQ(source->format().name, "llm.c .bin");
  EXPECT_EQ(source->format().bytes_per_token, 2);
  EXPECT_FALSE(source->format().marks_documents);
  EXPECT_EQ(source->vocab_size(), 257);
  EXPECT_EQ(source->num_tokens(), 10);
  EXPECT_EQ(documents_of(*source), (Documents{{256, 1, 2, 3, 256}, {4, 256}, {256}, {5, 6}}));
}

TEST(BinTokens, NanoGptWritesTheEndOfTextBehindEachDocument) {
  const TestDirectory directory;
  const auto source =
      open_with_bytes(directory.write("a.bin", bytes_of<uint16_t>({1, 2, 3, kEnd, 4, kEnd})));
  EXPECT_EQ(source->format().name, "nanoGPT .bin");
  EXPECT_EQ(documents_of(*source), (Documents{{1, 2, 3, 256}, {4, 256}}));
}

TEST(BinTokens, AFileWithoutEndOfTextIsOneDocument) {
  const TestDirectory directory;
  EXPECT_EQ(documents_of(*open_with_bytes(directory.write("a.bin", llmc_file({7, 8, 9})))),
            (Documents{{7, 8, 9}}));
  EXPECT_EQ(documents_of(*open_with_bytes(directory.write("b.bin", bytes_of<uint16_t>({kEnd})))),
            (Documents{{256}}));
}

TEST(BinTokens, DocumentsAreFoundOnBothSidesOfEveryChunkBorder) {
  const TestDirectory directory;
  // The pass goes by chunks of 512 ids: ends of text on, before and behind their borders.
  for (const size_t length : {1, 2, 511, 512, 513, 1024, 1025}) {
    for (const size_t end : {size_t{1}, size_t{510}, size_t{511}, size_t{512}, size_t{1023}}) {
      if (end >= length) {
        continue;
      }
      ShortIds ids(length, 7);
      ids[end] = kEnd;
      const auto source = open_with_bytes(directory.write("a.bin", llmc_file(ids)));
      std::vector<std::pair<int64_t, int64_t>> expected{{0, end + 1}};
      if (end + 1 < length) {
        expected.emplace_back(end + 1, length);
      }
      ASSERT_EQ(source->num_documents(), static_cast<int64_t>(expected.size()));
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(source->document(static_cast<int64_t>(i)), expected[i]) << length << " " << end;
      }
    }
  }
}

TEST(BinTokens, Llama3FilesHoldFourBytesAToken) {
  const TestDirectory directory;
  const auto path = directory.write(
      "a.bin", llmc_header(kLlama3Magic, 7, 3) + bytes_of<uint32_t>({128000, 5, 100'000}));
  const auto source = open_bin_tokens(path, {});
  EXPECT_EQ(source->format().bytes_per_token, 4);
  EXPECT_EQ(tokens_of(*source), (std::vector<int64_t>{128000, 5, 100'000}));
}

/// The byte tokenizer's ids and a larger vocabulary's.
Tokenizer tokenizer_of(const TestDirectory& directory, int64_t vocab_size) {
  auto json = testing::small_tokenizer({});
  auto& vocab = json["model"]["vocab"];
  for (auto id = static_cast<int64_t>(vocab.size()); id < vocab_size; ++id) {
    vocab["token" + std::to_string(id)] = id;
  }
  return Tokenizer::load(directory.write("tokenizer.json", json.dump()));
}

TEST(BinTokens, AFileWithoutHeaderIsNotReadAsUint16WhereItsVocabularyIsLarger) {
  const TestDirectory directory;
  const auto largest = tokenizer_of(directory, 65536);
  const auto larger = tokenizer_of(directory, 65537);
  const auto narrow = directory.write("a.bin", bytes_of<uint16_t>({1, 2, 65535, 4}));
  const auto wide = directory.write("b.bin", bytes_of<uint32_t>({1, 65536, 3}));
  const auto open = [](const std::filesystem::path& path, const Tokenizer& tokenizer,
                       const std::string& dtype) {
    return tokens_of(*open_bin_tokens(path, {.tokenizer = &tokenizer, .bin_dtype = dtype}));
  };
  using Ids = std::vector<int64_t>;
  EXPECT_EQ(open(narrow, largest, "auto"), (Ids{1, 2, 65535, 4}));
  EXPECT_EQ(open(narrow, larger, "uint16"), (Ids{1, 2, 65535, 4}));
  EXPECT_EQ(open(wide, larger, "uint32"), (Ids{1, 65536, 3}));
  for (const auto& path : {narrow, wide}) {
    EXPECT_EQ(error_of(ErrorCode::kConfig, [&] { (void)open(path, larger, "auto"); }),
              path.string() +
                  ": expected to be told how wide the ids of a .bin file without a header are, as "
                  "the tokenizer has 65537 and uint16 holds 65536, got nothing. Say which with "
                  "--set data.bin_dtype=uint16 or =uint32 (loopbank data inspect: --dtype).");
  }
  // What was said wrongly shows in ids that are none.
  expect_contains(error_of(ErrorCode::kData, [&] { (void)open(narrow, larger, "uint32"); }),
                  "got 131073 as token 0. The file is damaged, of another tokenizer or not the "
                  "nanoGPT .bin that its name says, or its ids are not of 4 bytes.");
  // A header says it itself.
  const auto llama3 = directory.write(
      "c.bin", llmc_header(kLlama3Magic, 7, 3) + bytes_of<uint32_t>({65536, 5, 100}));
  EXPECT_EQ(open(llama3, larger, "auto"), (Ids{65536, 5, 100}));
}

TEST(BinTokens, EverySecondIdZeroIsAFileOfWiderIds) {
  const TestDirectory directory;
  std::vector<uint32_t> ids(40);
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<uint32_t>(i % 7);
  }
  const auto wide = directory.write("a.bin", bytes_of(ids));
  expect_contains(error_of(ErrorCode::kConfig, [&] { (void)open_with_bytes(wide); }),
                  "as every second uint16 at its beginning is 0, got nothing. Say which with");
  const auto tokenizer = Tokenizer::bytes();
  const auto open_as = [&](const char* dtype) {
    return open_bin_tokens(wide, {.tokenizer = &tokenizer, .bin_dtype = dtype});
  };
  EXPECT_EQ(tokens_of(*open_as("uint32")), std::vector<int64_t>(ids.begin(), ids.end()));
  EXPECT_EQ(open_as("uint16")->num_tokens(), 80);
  // Zeros alone are ids like others, and few ids prove nothing.
  EXPECT_EQ(open_with_bytes(directory.write("b.bin", std::string(400, '\0')))->num_tokens(), 200);
  EXPECT_EQ(
      open_with_bytes(directory.write("c.bin", bytes_of<uint16_t>({1, 0, 2, 0})))->num_tokens(), 4);
}

TEST(BinTokens, WithoutATokenizerIdsAreBoundedByTheirWidthAlone) {
  const TestDirectory directory;
  const auto source =
      open_bin_tokens(directory.write("a.bin", bytes_of<uint16_t>({65535, kEnd, 0})), {});
  EXPECT_EQ(source->vocab_size(), 0);
  EXPECT_EQ(documents_of(*source), (Documents{{65535, 256, 0}}));
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { source->expect_vocabulary(Tokenizer::bytes()); }),
            source->path().string() +
                ": expected to be opened with a tokenizer of 257 ids, which bounds what a nanoGPT "
                ".bin holds, got none.");
}

TEST(BinTokens, RefusesIdsOutsideTheVocabularyAndTellsWhere) {
  ShortIds ids(600, 7);
  ids[520] = 257;
  EXPECT_EQ(bin_error(llmc_file(ids)),
            "expected token ids in [0, 257), got 257 as token 520. The file is damaged, of another "
            "tokenizer or not the llm.c .bin that its name says.");
  const TestDirectory directory;
  const auto path = directory.write("a.bin", llmc_file(ids));
  const auto no_end = tokenizer_without_end_of_text(directory);
  const TokenSourceOptions options{.tokenizer = &no_end};
  EXPECT_EQ(open_bin_tokens(path, options)->num_documents(), 1) << "nothing is read before copy";
  error_of(ErrorCode::kData, [&] { (void)tokens_of(*open_bin_tokens(path, options)); });
  error_of(ErrorCode::kData,
           [&] { (void)open_bin_tokens(path, {.tokenizer = &no_end, .verify = true}); });
}

TEST(BinTokens, RefusesWhatDoesNotFitItsHeader) {
  auto bytes = llmc_file({1, 2, 3});
  EXPECT_EQ(bin_error(bytes.substr(0, 1000)),
            "expected an llm.c file with a header of 1024 bytes, got 1000 bytes.");
  EXPECT_EQ(bin_error(bytes.substr(0, 1028)),
            "the header promises 3 tokens (1030 bytes), got a file of 1028 bytes. The file is "
            "truncated or damaged: copy it again.");
  EXPECT_EQ(bin_error(bytes + "more"),
            "the header promises 3 tokens (1030 bytes), got a file of 1034 bytes. The file is "
            "truncated or damaged: copy it again.");
  EXPECT_EQ(bin_error(llmc_header(kGpt2Magic, 1, -5)),
            "the header promises -5 tokens (1014 bytes), got a file of 1024 bytes. The file is "
            "truncated or damaged: copy it again.");
  EXPECT_EQ(bin_error(llmc_header(kGpt2Magic, 7, 0)),
            "expected version 1 behind llm.c's magic 20240520, got version 7.");
}

TEST(BinTokens, RefusesOtherFilesOfTheSameName) {
  EXPECT_EQ(bin_error(llmc_header(20240522, 1, 3) + "xxxx"),
            "expected tokens, got llm.c's multiple-choice questions (magic 20240522). loopbank "
            "eval reads questions as .jsonl.");
  EXPECT_EQ(bin_error("abc"),
            "expected a nanoGPT file of 2-byte ids (it does not begin with a magic of llm.c), got "
            "3 bytes.");
  EXPECT_EQ(bin_error(""),
            "expected a nanoGPT file of 2-byte ids (it does not begin with a magic of llm.c), got "
            "0 bytes.");
}

TEST(BinTokens, RefusesRangesAndDocumentsThatAreNotThere) {
  const TestDirectory directory;
  const auto source = open_with_bytes(directory.write("a.bin", bytes_of<uint16_t>({1, kEnd, 2})));
  std::vector<int64_t> out(4);
  EXPECT_EQ(
      error_of(ErrorCode::kShape, [&] { source->copy(2, 2, out.data()); }),
      source->path().string() + ": expected a range within [0, 3) tokens, got 2 tokens from 2.");
  EXPECT_EQ(error_of(ErrorCode::kShape, [&] { (void)source->document(2); }),
            source->path().string() + ": expected a document in [0, 2), got 2.");
  error_of(ErrorCode::kShape, [&] { source->copy(-1, 1, out.data()); });
  error_of(ErrorCode::kShape, [&] { (void)source->document(-1); });
}

}  // namespace
}  // namespace loopbank
