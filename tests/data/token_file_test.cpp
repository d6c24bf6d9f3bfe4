#include "loopbank/data/token_file.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstring>
#include <numeric>
#include <type_traits>
#include <vector>

#include "tests/data/token_bytes.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::content_of;
using testing::error_of;
using testing::expect_contains;
using testing::kHash;
using testing::TestDirectory;
using testing::tokens_of;
using Ids = std::vector<TokenId>;

std::filesystem::path write_tokens(const TestDirectory& directory,
                                   const std::vector<Ids>& documents, int64_t vocab_size = 257) {
  const auto path = directory.path() / "a.tokens";
  TokenFileWriter writer(path, vocab_size, kHash);
  for (const auto& document : documents) {
    writer.append(document);
  }
  writer.finish();
  return path;
}

/// The error of opening `path` after `edit` changed its bytes; `verify` asks for the checksum.
template <typename Edit>
std::string error_after(const std::filesystem::path& path, Edit&& edit, bool verify = false) {
  auto bytes = content_of(path);
  edit(bytes);
  const auto changed = path.parent_path() / "changed.tokens";
  std::ofstream(changed, std::ios::binary) << bytes;
  const auto message = error_of(ErrorCode::kData, [&] { const TokenFile file(changed, verify); });
  EXPECT_EQ(message.find(changed.string() + ": "), 0U) << message;
  return message.substr(std::min(message.size(), changed.string().size() + 2));
}

template <typename T>
void put(std::string& bytes, size_t offset, std::type_identity_t<T> value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

TEST(TokenFile, ComesBackAsItWasWritten) {
  const TestDirectory directory;
  const TokenFile file(write_tokens(directory, {{1, 2, 256}, {256}, {0, 255, 7, 256}}), true);
  EXPECT_EQ(file.num_tokens(), 8);
  EXPECT_EQ(file.num_documents(), 3);
  EXPECT_EQ(file.vocab_size(), 257);
  EXPECT_EQ(file.vocab_hash(), kHash);
  EXPECT_EQ(tokens_of(file), (std::vector<int64_t>{1, 2, 256, 256, 0, 255, 7, 256}));
  EXPECT_EQ(file.document(0), (std::pair<int64_t, int64_t>{0, 3}));
  EXPECT_EQ(file.document(1), (std::pair<int64_t, int64_t>{3, 4}));
  EXPECT_EQ(file.document(2), (std::pair<int64_t, int64_t>{4, 8}));
  std::vector<int64_t> part(3, -1);
  file.copy(4, 2, part.data());
  EXPECT_EQ(part, (std::vector<int64_t>{0, 255, -1}));
}

TEST(TokenFile, TakesTwoBytesATokenUpTo65536IdsAndFourBeyond) {
  const TestDirectory directory;
  for (const int64_t vocab_size : {65536, 65537, 200000}) {
    const auto last = static_cast<TokenId>(vocab_size - 1);
    const auto path = write_tokens(directory, {{last, 0}, {1, last, last}}, vocab_size);
    const TokenFile file(path, true);
    EXPECT_EQ(file.bytes_per_token(), vocab_size == 65536 ? 2 : 4);
    EXPECT_EQ(tokens_of(file), (std::vector<int64_t>{last, 0, 1, last, last}));
    const size_t padded = vocab_size == 65536 ? 16 : 24;
    EXPECT_EQ(std::filesystem::file_size(path), 64 + padded + 3 * 8);
  }
}

TEST(TokenFile, EveryByteLiesWhereTheHeaderCommentSays) {
  const TestDirectory directory;
  const auto bytes = content_of(write_tokens(directory, {{1, 2}, {256}}));
  const auto at = [&](size_t offset, auto example) {
    std::memcpy(&example, bytes.data() + offset, sizeof(example));
    return example;
  };
  ASSERT_EQ(bytes.size(), 64U + 8U + 24U);
  EXPECT_EQ(bytes.substr(0, 8), "LBTOKENS");
  EXPECT_EQ(at(8, uint32_t{}), 1U);
  EXPECT_EQ(at(12, uint32_t{}), 2U);
  EXPECT_EQ(at(16, uint64_t{}), 257U);
  EXPECT_EQ(at(24, uint64_t{}), 3U);
  EXPECT_EQ(at(32, uint64_t{}), 2U);
  EXPECT_EQ(at(40, uint64_t{}), XXH3_64bits(bytes.data() + 48, bytes.size() - 48));
  EXPECT_EQ(bytes.substr(48, 16), kHash);
  EXPECT_EQ(at(64, uint16_t{}), 1U);
  EXPECT_EQ(at(68, uint16_t{}), 256U);
  EXPECT_EQ(at(70, uint16_t{}), 0U);
  EXPECT_EQ(at(72, uint64_t{}), 0U);
  EXPECT_EQ(at(80, uint64_t{}), 2U);
  EXPECT_EQ(at(88, uint64_t{}), 3U);
}

TEST(TokenFile, AppearsWithFinishAndNotBefore) {
  const TestDirectory directory;
  const auto path = directory.path() / "a.tokens";
  {
    TokenFileWriter writer(path, 257, kHash);
    writer.append(Ids{1, 256});
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  EXPECT_TRUE(directory.names().empty());
  write_tokens(directory, {{1, 256}});
  EXPECT_EQ(directory.names(), std::vector<std::string>{"a.tokens"});
}

TEST(TokenFile, AnAbandonedWriterLeavesTheOldFile) {
  const TestDirectory directory;
  const auto path = write_tokens(directory, {{1, 2, 256}});
  const auto before = content_of(path);
  {
    TokenFileWriter writer(path, 257, kHash);
    writer.append(Ids(2'000'000, 3));
  }
  EXPECT_EQ(content_of(path), before);
  EXPECT_EQ(directory.names(), std::vector<std::string>{"a.tokens"});
}

TEST(TokenFileWriter, RefusesIdsOutsideTheVocabularyAndEmptyDocuments) {
  const TestDirectory directory;
  const auto path = directory.path() / "a.tokens";
  TokenFileWriter writer(path, 257, kHash);
  writer.append(Ids{256});
  EXPECT_EQ(error_of(ErrorCode::kData,
                     [&] {
                       writer.append(Ids{1, 257});
                     }),
            path.string() + ": expected token ids in [0, 257), got 257 in document 1.");
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { writer.append(Ids{-1}); }),
            path.string() + ": expected token ids in [0, 257), got -1 in document 1.");
  expect_contains(error_of(ErrorCode::kData, [&] { writer.append(Ids{}); }),
                  "expected documents of at least one token, got none in document 1");
  expect_contains(
      error_of(ErrorCode::kData, [&] { TokenFileWriter(path, 257, "0123456789abcdef0"); }),
      "expected a vocabulary hash of 1 to 16 printable characters");
  expect_contains(error_of(ErrorCode::kData, [&] { TokenFileWriter(path, 0, kHash); }),
                  "expected a vocabulary of 1 to 2147483648 ids, got 0");
}

TEST(TokenFile, AnotherKindOfFileIsRefused) {
  const TestDirectory directory;
  const auto path = write_tokens(directory, {{1, 2, 256}});
  EXPECT_EQ(error_after(path, [](auto& bytes) { bytes[0] = 'X'; }),
            "expected a token file, which starts with \"LBTOKENS\", got another kind of file. "
            "Make one with loopbank data tokenize.");
  EXPECT_EQ(error_after(path, [](auto& bytes) { bytes.resize(63); }),
            "expected a token file with a header of 64 bytes, got 63 bytes.");
  EXPECT_EQ(error_after(path, [](auto& bytes) { bytes.clear(); }),
            "expected a token file with a header of 64 bytes, got 0 bytes.");
}

TEST(TokenFile, AnotherVersionIsRefusedWithBothNumbers) {
  const TestDirectory directory;
  const auto path = write_tokens(directory, {{1, 2, 256}});
  EXPECT_EQ(error_after(path, [](auto& bytes) { put<uint32_t>(bytes, 8, 2); }),
            "expected a token file of version 1, got version 2. Make it again with loopbank data "
            "tokenize.");
}

TEST(TokenFile, SizesThatDoNotMatchTheFileAreRefused) {
  const TestDirectory directory;
  const auto path = write_tokens(directory, {{1, 2, 256}});  // 64 + 8 + 16 bytes
  EXPECT_EQ(error_after(path, [](auto& bytes) { bytes.pop_back(); }),
            "the header promises 3 tokens in 1 documents (88 bytes), got a file of 87 bytes. The "
            "file is truncated or damaged: make it again with loopbank data tokenize.");
  expect_contains(error_after(path, [](auto& bytes) { bytes += 'x'; }), "got a file of 89 bytes");
  expect_contains(error_after(path, [](auto& bytes) { put<uint64_t>(bytes, 24, 5); }),
                  "promises 5 tokens in 1 documents (96 bytes), got a file of 88 bytes");
  expect_contains(error_after(path, [](auto& bytes) { put<uint32_t>(bytes, 12, 4); }),
                  "expected 2 bytes per token for a vocabulary of 257, got 4");
  expect_contains(error_after(path, [](auto& bytes) { put<uint64_t>(bytes, 16, 0); }),
                  "expected a vocabulary of 1 to 2147483648 ids, got 0");
}

TEST(TokenFile, CountsThatWouldOverflowAreRefused) {
  const TestDirectory directory;
  const auto path = write_tokens(directory, {{1, 2, 256}});
  // 2^63 tokens take 2^64 = 0 bytes in 64-bit arithmetic; 2^61 documents likewise.
  expect_contains(error_after(path, [](auto& bytes) { put<uint64_t>(bytes, 24, 1ULL << 63U); }),
                  "promises 9223372036854775808 tokens");
  expect_contains(
      error_after(path, [](auto& bytes) { put<uint64_t>(bytes, 32, (1ULL << 61U) + 1); }),
      "promises 3 tokens in 2305843009213693953 documents");
}

TEST(TokenFile, OffsetsThatDoNotAscendOrDoNotCoverTheTokensAreRefused) {
  const TestDirectory directory;
  const auto path = write_tokens(directory, {{1, 256}, {2, 256}});  // offsets at 72, 80, 88
  EXPECT_EQ(error_after(path, [](auto& bytes) { put<uint64_t>(bytes, 80, 9); }),
            "expected ascending document offsets, got 9 before 4 at document 1.");
  EXPECT_EQ(error_after(path, [](auto& bytes) { put<uint64_t>(bytes, 80, 0); }),
            "expected ascending document offsets, got 0 before 0 at document 0.");
  EXPECT_EQ(error_after(path, [](auto& bytes) { put<uint64_t>(bytes, 88, 3); }),
            "expected document offsets from 0 to 4 tokens, got 0 to 3.");
  EXPECT_EQ(error_after(path, [](auto& bytes) { put<uint64_t>(bytes, 72, 1); }),
            "expected document offsets from 0 to 4 tokens, got 1 to 4.");
}

TEST(TokenFile, TheChecksumFindsAnyChangedByteAfterIt) {
  const TestDirectory directory;
  const auto path = write_tokens(directory, {{1, 2, 256}, {9, 256}});
  for (const size_t offset : {size_t{48}, size_t{64}, size_t{73}, size_t{75}}) {
    const auto message = error_after(
        path, [&](auto& bytes) { bytes[offset] = static_cast<char>(bytes[offset] ^ 2); }, true);
    expect_contains(message, "expected checksum ");
    expect_contains(message, "The file is damaged");
  }
}

TEST(TokenFile, AnIdOutsideTheVocabularyIsNeverGivenOut) {
  const TestDirectory directory;
  const auto path = write_tokens(directory, {Ids(300, 5), {256}});
  auto bytes = content_of(path);
  put<uint16_t>(bytes, 64 + 2 * 299, 257);
  const auto changed = directory.write("b.tokens", bytes);
  const TokenFile file(changed);
  std::vector<int64_t> out(301);
  file.copy(0, 299, out.data());
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { file.copy(200, 101, out.data()); }),
            changed.string() +
                ": expected token ids in [0, 257), got 257 as token 299. The file "
                "is damaged: make it again with loopbank data tokenize.");
}

TEST(TokenFile, RangesOutsideTheFileAreRefused) {
  const TestDirectory directory;
  const auto path = write_tokens(directory, {{1, 2, 256}});
  const TokenFile file(path);
  std::vector<int64_t> out(8);
  EXPECT_EQ(error_of(ErrorCode::kShape, [&] { file.copy(2, 2, out.data()); }),
            path.string() + ": expected a range within [0, 3) tokens, got 2 tokens from 2.");
  error_of(ErrorCode::kShape, [&] { file.copy(-1, 1, out.data()); });
  error_of(ErrorCode::kShape, [&] { file.copy(1, INT64_MAX, out.data()); });
  file.copy(3, 0, out.data());
  EXPECT_EQ(error_of(ErrorCode::kShape, [&] { static_cast<void>(file.document(1)); }),
            path.string() + ": expected a document in [0, 1), got 1.");
}

TEST(TokenFile, AFileWithoutDocumentsOpensEmpty) {
  const TestDirectory directory;
  const TokenFile file(write_tokens(directory, {}), true);
  EXPECT_EQ(file.num_tokens(), 0);
  EXPECT_EQ(file.num_documents(), 0);
}

TEST(TokenFile, TheTokensOfAnotherTokenizerAreRefusedWithBothHashesAndTheRemedy) {
  const TestDirectory directory;
  const auto tokenizer = Tokenizer::bytes();
  const auto path = write_tokens(directory, {{1, 2, 256}}, 300);
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { TokenFile(path).expect_vocabulary(tokenizer); }),
            fmt::format("{0}: expected tokens of the vocabulary {1} (257 ids), got those of {2} "
                        "(300 ids). Make the file again: loopbank data tokenize TEXTS --tokenizer "
                        "FILE --out {0}.",
                        path.string(), tokenizer.hash(), kHash));
  const auto same_size = write_tokens(directory, {{256}}, tokenizer.vocab_size());
  error_of(ErrorCode::kData, [&] { TokenFile(same_size).expect_vocabulary(tokenizer); });
  TokenFileWriter writer(path, tokenizer.vocab_size(), tokenizer.hash());
  writer.append(Ids{256});
  writer.finish();
  TokenFile(path).expect_vocabulary(tokenizer);
}

}  // namespace
}  // namespace loopbank
