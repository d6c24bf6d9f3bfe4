/// Which files are texts, lines of JSON or neither, by their names and by what they begin with.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "loopbank/data/text_reader.h"
#include "tests/data/compressed.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::gzip;
using testing::TestDirectory;
using testing::zstd;
using TextList = std::vector<std::string>;

TextList all_documents(TextReader& reader) {
  TextList documents;
  for (std::string document; reader.next(document);) {
    documents.push_back(document);
  }
  return documents;
}

TEST(TextNames, AFileOfAnyOtherNameIsAText) {
  const TestDirectory directory;
  const std::string text = "# A title\n\nSome *words*.\n";
  for (const auto& path :
       {directory.write("README.md", text), directory.write("LICENSE", text),
        directory.write("a.csv.gz", gzip(text)), directory.write("notes.json", text)}) {
    TextReader reader(path);
    EXPECT_EQ(all_documents(reader), TextList{text}) << path;
  }
  // As long as a text, and with what JSON begins with.
  for (const std::string& odd :
       {std::string("{\\it text}"), std::string("[1, 2]\n"), std::string("{"),
        std::string("{\"a\": {\"text\": 1}}"), std::string(700'000, 'x')}) {
    TextReader reader(directory.write("odd.md", odd));
    EXPECT_EQ(all_documents(reader), TextList{odd});
  }
}

TEST(TextNames, LinesOfJsonAreSeenUnderAnyName) {
  const TestDirectory directory;
  const std::string lines = "\n{\"id\": NaN, \"text\": \"one\"}\n{\"text\": \"two\", \"n\": 1}\n";
  for (const auto& path : {directory.write("part-00000", lines), directory.write("a.ndjson", lines),
                           directory.write("c4.00000.json.gz", gzip(lines))}) {
    TextReader reader(path);
    EXPECT_EQ(all_documents(reader), (TextList{"one", "two"})) << path;
    EXPECT_EQ(reader.bytes_read(), std::filesystem::file_size(path));
  }
  // Documents in another arrangement are no text either.
  for (const std::string other :
       {"[{\"text\": \"one\"},\n{\"text\": \"two\"}]", "{\n  \"text\": \"one\"\n}\n"}) {
    TextReader reader(directory.write("data.json", other));
    std::string document;
    expect_contains(error_of(ErrorCode::kData, [&] { reader.next(document); }), "data.json:1: ");
  }
  TextReader long_line(
      directory.write("long", "{\"text\": \"" + std::string(700'000, 'x') + "\"}"));
  EXPECT_EQ(all_documents(long_line), TextList{std::string(700'000, 'x')});
}

TEST(TextNames, ResumesInAFileOfAnyName) {
  const TestDirectory directory;
  const auto path = directory.write("part-0", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
  TextReader first(path);
  std::string document;
  ASSERT_TRUE(first.next(document));
  TextReader second(path);
  second.resume(first.state(), {});
  EXPECT_EQ(all_documents(second), TextList{"two"});
}

TEST(TextNames, WhatIsNoTextIsRefusedByItsBytes) {
  const TestDirectory directory;
  const auto refusal = [&](const char* name, const std::string& bytes) {
    const auto path = directory.write(name, bytes);
    const auto message = error_of(ErrorCode::kData, [&] { const TextReader reader(path); });
    EXPECT_TRUE(message.starts_with(path.string() + ": expected a text, got ")) << message;
    return message.substr(std::min(message.size(), path.string().size()));
  };
  EXPECT_EQ(refusal("a", gzip("x")),
            ": expected a text, got gzip's bytes. Name it as such: .txt.gz or .jsonl.gz.");
  EXPECT_EQ(refusal("b.md", zstd("x")),
            ": expected a text, got zstd's bytes. Name it as such: .txt.zst or .jsonl.zst.");
  EXPECT_EQ(refusal("c.data", "PAR1...."),
            ": expected a text, got a Parquet file. Name it as such: .parquet.");
  EXPECT_EQ(refusal("d.tokens", "LBTOKENS...."),
            ": expected a text, got a token file. It holds ids, which `loopbank data inspect` "
            "shows.");
  EXPECT_EQ(
      refusal("e", std::string("ab\0c", 4)),
      ": expected a text, got a NUL byte at byte 3. If it is one all the same, name it .txt.");
}

}  // namespace
}  // namespace loopbank
