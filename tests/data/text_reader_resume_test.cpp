/// A reader that goes on where another one stood.

#include <gtest/gtest.h>

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

/// Documents with bad, empty and blank lines between them, a byte order mark and CRLF.
std::string uneven_lines() {
  std::string text = "\xEF\xBB\xBF";
  for (int i = 0; i < 300; ++i) {
    text += "{\"text\": \"" + std::to_string(i) + std::string(static_cast<size_t>(i * 7), 'x') +
            (i % 3 == 0 ? "\"}\r\n" : "\"}\n");
    text += i % 40 == 7 ? "nonsense\n" : i % 50 == 9 ? "{\"text\": \"\"}\n\n" : "";
  }
  return text + "{\"text\": \"bad \xFF byte\"}\nnonsense\n";
}

struct Read {
  std::vector<std::string> documents;
  std::vector<TextReaderState> states;  // behind each document
  TextReaderReport report;
};

Read read_all(TextReader& reader) {
  Read all;
  std::string document;
  while (reader.next(document)) {
    all.documents.push_back(document);
    all.states.push_back(reader.state());
  }
  all.report = reader.report();
  return all;
}

TEST(TextReaderResume, GivesTheRestAndTheSameReportBehindEveryDocument) {
  const TestDirectory directory;
  const auto text = uneven_lines();
  for (const auto& path :
       {directory.write("a.jsonl", text), directory.write("a.jsonl.gz", gzip(text)),
        directory.write("a.jsonl.zst", zstd(text)), directory.write("a.txt", "one\ntwo")}) {
    TextReader whole(path, {.skip = INT64_MAX});
    const auto expected = read_all(whole);
    ASSERT_FALSE(expected.documents.empty());
    for (size_t i = 0; i < expected.documents.size(); i += 13) {
      auto bad_lines = expected.report.bad_lines;
      std::erase_if(bad_lines,
                    [&](const BadLine& bad) { return bad.line > expected.states[i].line; });
      TextReader reader(path, {.skip = INT64_MAX});
      reader.resume(expected.states[i], bad_lines);
      EXPECT_EQ(reader.state(), expected.states[i]);
      const auto rest = read_all(reader);
      ASSERT_EQ(rest.documents.size(), expected.documents.size() - i - 1) << path;
      EXPECT_TRUE(std::equal(rest.documents.begin(), rest.documents.end(),
                             expected.documents.begin() + static_cast<std::ptrdiff_t>(i) + 1));
      EXPECT_EQ(static_cast<const TextReaderCounts&>(rest.report), expected.report) << path;
      ASSERT_EQ(rest.report.bad_lines.size(), expected.report.bad_lines.size());
      for (size_t k = 0; k < rest.report.bad_lines.size(); ++k) {
        EXPECT_EQ(rest.report.bad_lines[k].line, expected.report.bad_lines[k].line);
      }
    }
  }
}

TEST(TextReaderResume, AFileThatBecameShorterIsRefused) {
  const TestDirectory directory;
  const auto text = uneven_lines();
  const auto plain = directory.write("a.jsonl", text.substr(0, 1000));
  const auto packed = directory.write("a.jsonl.zst", zstd(text).substr(0, 300));
  for (const auto& path : {plain, packed}) {
    TextReader reader(path, {.skip = INT64_MAX});
    const auto message = error_of(ErrorCode::kData, [&] {
      reader.resume({.line = 250, .bytes = 200'000, .counts = {}}, {});
    });
    expect_contains(message,
                    path.string() +
                        ": expected at least 200000 bytes of text, up to which it was read "
                        "before, got fewer. The file has changed");
  }
  TextReader reader(packed);
  expect_contains(
      error_of(ErrorCode::kData,
               [&] { reader.resume({.line = 250, .bytes = 200'000, .counts = {}}, {}); }),
      "changed: the zstd stream is truncated.");
}

}  // namespace
}  // namespace loopbank
