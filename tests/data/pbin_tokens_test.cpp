#include "loopbank/data/pbin_tokens.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/data/pickled_pairs.h"
#include "tests/data/token_bytes.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::bytes_of;
using testing::Documents;
using testing::documents_of;
using testing::error_of;
using testing::kEnd;
using testing::Pairs;
using testing::pickled_pairs;
using testing::TestDirectory;

std::string pbin_header(uint64_t id_bytes, uint32_t bytes_per_token) {
  return bytes_of<uint64_t>({id_bytes}) + bytes_of<uint32_t>({bytes_per_token});
}

template <typename Id>
std::string pbin_file(const std::vector<Id>& ids, const Pairs& documents, int protocol = 4) {
  return pbin_header(ids.size() * sizeof(Id), sizeof(Id)) + bytes_of(ids) +
         pickled_pairs(documents, protocol);
}

const std::vector<uint16_t> kIds = {1, 2, 3, kEnd, 4, kEnd};
const Pairs kDocuments = {{0, 8}, {8, 4}};

std::string pbin_error(const std::string& bytes) {
  const TestDirectory directory;
  const auto path = directory.write("a.pbin", bytes);
  const auto message = error_of(ErrorCode::kData, [&] { (void)open_pbin_tokens(path, {}); });
  EXPECT_EQ(message.find(path.string() + ": "), 0U) << message;
  return message.substr(std::min(message.size(), path.string().size() + 2));
}

TEST(PbinTokens, TheListTellsTheDocuments) {
  const TestDirectory directory;
  for (const int protocol : {2, 3, 4, 5}) {
    const auto path = directory.write("a.pbin", pbin_file(kIds, kDocuments, protocol));
    const auto source = open_pbin_tokens(path, {});
    EXPECT_EQ(source->format().name, "Modalities .pbin");
    EXPECT_EQ(source->format().bytes_per_token, 2);
    EXPECT_TRUE(source->format().marks_documents);
    EXPECT_EQ(source->vocab_size(), 0);
    EXPECT_EQ(documents_of(*source), (Documents{{1, 2, 3, 256}, {4, 256}}));
  }
}

TEST(PbinTokens, TokensTakeOneTwoOrFourBytes) {
  const TestDirectory directory;
  const auto one = open_pbin_tokens(
      directory.write("one.pbin", pbin_file<uint8_t>({1, 2, 255}, {{0, 1}, {1, 2}})), {});
  EXPECT_EQ(documents_of(*one), (Documents{{1}, {2, 255}}));
  const auto four = open_pbin_tokens(
      directory.write("four.pbin", pbin_file<uint32_t>({1, 100'000}, {{0, 4}, {4, 4}})), {});
  EXPECT_EQ(documents_of(*four), (Documents{{1}, {100'000}}));
  EXPECT_EQ(four->format().bytes_per_token, 4);
}

TEST(PbinTokens, IdsAreBoundedByTheTokenizer) {
  const TestDirectory directory;
  const auto path =
      directory.write("a.pbin", pbin_file<uint16_t>({1, 257, kEnd}, {{0, 2}, {2, 4}}));
  const auto tokenizer = Tokenizer::bytes();
  const auto message = error_of(ErrorCode::kData, [&] {
    (void)open_pbin_tokens(path, {.tokenizer = &tokenizer, .verify = true});
  });
  EXPECT_EQ(message, path.string() +
                         ": expected token ids in [0, 257), got 257 as token 1. The "
                         "file is damaged, of another tokenizer or not the Modalities .pbin that "
                         "its name says.");
  const auto unread = open_pbin_tokens(path, {.tokenizer = &tokenizer});
  EXPECT_EQ(unread->vocab_size(), 257);
  error_of(ErrorCode::kData, [&] { (void)documents_of(*unread); });
}

TEST(PbinTokens, RefusesAHeaderThatDoesNotFitTheFile) {
  EXPECT_EQ(pbin_error("short"), "expected a .pbin file with a header of 12 bytes, got 5 bytes.");
  EXPECT_EQ(pbin_error(pbin_header(100, 2) + bytes_of(kIds)),
            "the header promises 100 bytes of tokens, got a file of 24 bytes. The file is "
            "truncated or damaged: copy it again.");
  EXPECT_EQ(pbin_error(pbin_header(~uint64_t{0}, 2) + bytes_of(kIds)),
            "the header promises 18446744073709551615 bytes of tokens, got a file of 24 bytes. The "
            "file is truncated or damaged: copy it again.");
  EXPECT_EQ(pbin_error(pbin_header(3, 2) + "abc" + pickled_pairs({{0, 3}}, 4)),
            "expected tokens of 2 bytes each, got 3 bytes of them.");
  EXPECT_EQ(pbin_error(pbin_header(0, 2) + pickled_pairs({}, 4)),
            "expected tokens of 2 bytes each, got 0 bytes of them. The program that wrote the file "
            "did not finish.");
  EXPECT_EQ(pbin_error(pbin_header(12, 3) + bytes_of(kIds)),
            "expected 1, 2 or 4 bytes per token, got 3.");
  EXPECT_EQ(
      pbin_error(pbin_header(12, 2U << 24U) + bytes_of(kIds)),
      "expected 1, 2 or 4 bytes per token, got 33554432. The header is big endian, as the first "
      "releases of Modalities wrote it: pack the data again.");
}

TEST(PbinTokens, RefusesAListThatDoesNotCoverTheTokensOneBehindAnother) {
  const auto refused = [](const Pairs& documents) {
    return pbin_error(pbin_file(kIds, documents));
  };
  EXPECT_EQ(
      refused({{0, 8}, {6, 6}}),
      "expected document 1 at byte 8 with at least one token of 2 bytes, within 12 bytes, got "
      "6 bytes at byte 6. The index does not fit the tokens: pack the data again.");
  for (const Pairs& documents :
       {Pairs{{12, 8}, {20, 4}}, Pairs{{0, 8}, {8, 6}}, Pairs{{0, 8}, {8, 0}, {8, 4}},
        Pairs{{0, 7}, {7, 5}}, Pairs{{0, 0x7fffffffffffffff}}}) {
    testing::expect_contains(refused(documents), "The index does not fit the tokens");
  }
  EXPECT_EQ(refused({{0, 8}}),
            "expected documents that hold all 12 bytes of tokens, got 1 documents of 8 bytes.");
  EXPECT_EQ(refused({}),
            "expected documents that hold all 12 bytes of tokens, got 0 documents of 0 bytes.");
  EXPECT_EQ(
      pbin_error(pbin_header(12, 2) + bytes_of(kIds)),
      "expected more bytes at byte 0 of the pickled index, got the end of the file. The index "
      "must be a list of (offset, length) pairs; nothing else is read from a pickle, which "
      "may hold code.");
}

}  // namespace
}  // namespace loopbank
