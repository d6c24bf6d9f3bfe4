#include "loopbank/data/text_reader.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "loopbank/support/utf8.h"
#include "tests/data/compressed.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::gzip;
using testing::TestDirectory;
using testing::zstd;
using Texts = std::vector<std::string>;

const BadLinePolicy kSkipAll = {.skip = INT64_MAX};

Texts lines_of(const std::filesystem::path& path) {
  LineReader reader(path);
  Texts lines;
  std::string line;
  while (reader.next(line)) {
    lines.push_back(line);
    EXPECT_EQ(reader.line_number(), static_cast<int64_t>(lines.size()));
  }
  EXPECT_EQ(reader.bytes_read(), std::filesystem::file_size(path));
  return lines;
}

Texts read_documents(TextReader& reader) {
  Texts documents;
  std::string document;
  while (reader.next(document)) {
    documents.push_back(document);
  }
  return documents;
}

/// Numbered lines of very different lengths, more than any buffer holds; not compressible away.
Texts many_lines() {
  Texts lines;
  uint64_t state = 1;
  for (int i = 0; i < 3000; ++i) {
    std::string line = std::to_string(i);
    for (int length = i % 500; length > 0; --length) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      line.push_back(static_cast<char>('!' + (state >> 33U) % 90));
    }
    lines.push_back(line);
  }
  lines.emplace_back(700'000, 'x');
  return lines;
}

std::string joined(const Texts& lines, std::string_view end) {
  std::string text;
  for (const auto& line : lines) {
    text += line;
    text += end;
  }
  return text;
}

TEST(LineReader, GivesTheSameLinesPlainGzipAndZstd) {
  const TestDirectory directory;
  const auto lines = many_lines();
  const auto text = joined(lines, "\n");
  EXPECT_EQ(lines_of(directory.write("a.txt", text)), lines);
  EXPECT_EQ(lines_of(directory.write("a.txt.gz", gzip(text))), lines);
  EXPECT_EQ(lines_of(directory.write("a.txt.zst", zstd(text))), lines);
}

TEST(LineReader, GoesOnIntoTheNextMemberAndTheNextFrame) {
  const TestDirectory directory;
  const auto lines = many_lines();
  const auto text = joined(lines, "\n");
  for (const size_t cut : {size_t{0}, size_t{1}, size_t{12345}, text.size()}) {
    const auto head = std::string_view(text).substr(0, cut);
    const auto tail = std::string_view(text).substr(cut);
    EXPECT_EQ(lines_of(directory.write("a.gz", gzip(head) + gzip(tail))), lines) << cut;
    EXPECT_EQ(lines_of(directory.write("a.zst", zstd(head) + zstd(tail))), lines) << cut;
  }
}

TEST(LineReader, PassesOverZerosAfterAGzipMemberAndRefusesOtherTrailers) {
  const TestDirectory directory;
  EXPECT_EQ(lines_of(directory.write("a.gz", gzip("one\n") + std::string(512, '\0'))),
            Texts{"one"});
  const auto path = directory.write("b.gz", gzip("one\n") + "not gzip");
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { lines_of(path); }),
            path.string() + ":2: the gzip stream is corrupt (incorrect header check).");
}

TEST(LineReader, DropsCarriageReturnsAndTheByteOrderMarkAtTheStart) {
  const TestDirectory directory;
  const auto path = directory.write("a", "\xEF\xBB\xBFone\r\n\r\ntw\ro\r\n\xEF\xBB\xBFthree");
  EXPECT_EQ(lines_of(path), (Texts{"one", "", "tw\ro", "\xEF\xBB\xBFthree"}));
}

TEST(LineReader, TheLastLineNeedsNoLineEnd) {
  const TestDirectory directory;
  EXPECT_EQ(lines_of(directory.write("a", "one\ntwo")), (Texts{"one", "two"}));
  EXPECT_EQ(lines_of(directory.write("b", "one\ntwo\n")), (Texts{"one", "two"}));
  EXPECT_EQ(lines_of(directory.write("c", "\n\n")), (Texts{"", ""}));
  EXPECT_EQ(lines_of(directory.write("d", "")), Texts{});
}

TEST(LineReader, ATruncatedStreamEndsInAnErrorWithTheLineAfterTheWholeOnes) {
  const TestDirectory directory;
  const auto lines = many_lines();
  const auto text = joined(lines, "\n");
  for (const bool use_zstd : {false, true}) {
    const auto packed = use_zstd ? zstd(text) : gzip(text);
    const auto* name = use_zstd ? "a.zst" : "a.gz";
    for (const size_t kept : {size_t{0}, size_t{3}, packed.size() / 2, packed.size() - 1}) {
      const auto path = directory.write(name, packed.substr(0, kept));
      LineReader reader(path);
      std::string line;
      size_t num_lines = 0;
      const auto message = error_of(ErrorCode::kData, [&] {
        while (reader.next(line)) {
          ASSERT_EQ(line, lines.at(num_lines++)) << "a line cut short was given out";
        }
      });
      EXPECT_EQ(message, fmt::format("{}:{}: the {} stream is truncated.", path.string(),
                                     num_lines + 1, use_zstd ? "zstd" : "gzip"))
          << kept << " of " << packed.size() << " bytes kept";
    }
  }
}

TEST(LineReader, ADamagedStreamEndsInAnErrorWithTheLine) {
  const TestDirectory directory;
  const auto text = joined(many_lines(), "\n");
  for (const bool use_zstd : {false, true}) {
    auto packed = use_zstd ? zstd(text) : gzip(text);
    for (size_t i = packed.size() / 2; i < packed.size() / 2 + 8; ++i) {
      packed[i] = static_cast<char>(~packed[i]);
    }
    const auto path = directory.write(use_zstd ? "a.zst" : "a.gz", packed);
    LineReader reader(path);
    std::string line;
    const auto message = error_of(ErrorCode::kData, [&] {
      while (reader.next(line)) {
      }
    });
    expect_contains(message, fmt::format("{}:{}: the {} stream is corrupt (", path.string(),
                                         reader.line_number() + 1, use_zstd ? "zstd" : "gzip"));
  }
}

TEST(TextReader, AnObjectTooLongToTellWhatItIsIsRefused) {
  const TestDirectory directory;
  const auto object = R"({"html": ")" + std::string(size_t{1} << 19, 'x') + R"(", "text": "a"})";
  std::string document;
  const auto path = directory.write("part-0", object + "\n");
  expect_contains(error_of(ErrorCode::kData, [&] { (void)TextReader(path).next(document); }),
                  "Name it .jsonl, or .txt if it is one text.");
  TextReader named(directory.write("part-0.jsonl", object + "\n"));
  ASSERT_TRUE(named.next(document));
  EXPECT_EQ(document, "a");
}

TEST(LineReader, PlainTextUnderACompressedNameIsRefused) {
  const TestDirectory directory;
  const auto path = directory.write("a.zst", "just text, and enough of it\n");
  expect_contains(error_of(ErrorCode::kData, [&] { lines_of(path); }),
                  path.string() + ":1: the zstd stream is corrupt (Unknown frame descriptor).");
}

TEST(LineReader, AZstdWindowBeyondTheLimitIsRefusedWithARemedy) {
  const TestDirectory directory;
  // A frame with one raw block of one byte: magic, no options, a window of 2^(10 + 18) bytes.
  const std::string frame("\x28\xB5\x2F\xFD\x00\x90\x09\x00\x00x", 10);
  const auto path = directory.write("a.zst", frame);
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { lines_of(path); }),
            path.string() +
                ":1: the zstd stream needs more than 128 MiB to unpack; pack it again "
                "without --long.");
}

TEST(LineReader, AMissingFileIsNamed) {
  EXPECT_EQ(error_of(ErrorCode::kData, [] { const LineReader reader("/nowhere/a.jsonl"); }),
            "/nowhere/a.jsonl: cannot open: No such file or directory.");
}

TEST(LineReader, MemoryDoesNotGrowWithTheFile) {
  const TestDirectory directory;
  const std::string line(4095, 'a');
  const auto frame = zstd(joined(Texts(4096, line), "\n"));  // 16 MiB of text
  std::string packed;
  for (int i = 0; i < 12; ++i) {
    packed += frame;
  }
  const auto path = directory.write("a.zst", packed);
  const auto peak_kilobytes = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const auto before = peak_kilobytes();
  LineReader reader(path);
  std::string read;
  int64_t num_lines = 0;
  while (reader.next(read)) {
    num_lines += read == line ? 1 : 0;
  }
  EXPECT_EQ(num_lines, 12 * 4096);
  EXPECT_LT(peak_kilobytes() - before, 24 * 1024) << "192 MiB of text were read";
}

TEST(TextReader, GivesTheTextsOfAJsonlFile) {
  const TestDirectory directory;
  const auto path =
      directory.write("a.jsonl", R"({"text": "one\nline \u00e9 \ud83d\ude00"}
{"id": 7, "meta": {"text": "inner", "list": [{"text": "deep"}]}, "text": "two"}

)"
                                 "  \t \n"
                                 R"(  {"text":"three", "after": {"text": "inner"}}  )");
  TextReader reader(path);
  EXPECT_EQ(read_documents(reader), (Texts{"one\nline \xC3\xA9 \xF0\x9F\x98\x80", "two", "three"}));
  EXPECT_EQ(reader.report().documents, 3);
  EXPECT_EQ(reader.report().document_bytes, 16 + 3 + 5);
  EXPECT_EQ(reader.report().num_bad_lines(), 0);
  EXPECT_EQ(reader.report().first_bad_line, 0);
}

TEST(TextReader, SkipsCountsAndNamesEveryBadLine) {
  const TestDirectory directory;
  const auto path = directory.write("a.jsonl",
                                    "{\"text\": \"one\"}\n"            // 1
                                    "{\"text\": \"broken\n"            // 2
                                    "{\"text\": \"bad \xFF byte\"}\n"  // 3
                                    "{\"body\": \"x\"}\n"              // 4
                                    "{\"text\": 5}\n"                  // 5
                                    "[\"text\", \"x\"]\n"              // 6
                                    "{\"text\": \"\"}\n"               // 7
                                    "{\"text\": \"x\"} trailing\n"     // 8
                                    "{\"text\": \"\\ud800\"}\n"        // 9
                                    "{\"a\": {\"text\": \"x\"}}\n"     // 10
                                    "{\"text\": {\"a\": \"x\"}}\n"     // 11
                                    "{\"text\": \"two\"}\n");          // 12
  TextReader reader(path, kSkipAll);
  EXPECT_EQ(read_documents(reader), (Texts{"one", "two"}));
  const auto& report = reader.report();
  EXPECT_EQ(report.documents, 2);
  EXPECT_EQ(report.empty_documents, 1);
  EXPECT_EQ(report.invalid_json_lines, 8);
  EXPECT_EQ(report.invalid_utf8_documents, 1);
  EXPECT_EQ(report.first_bad_line, 2);
  Texts bad;
  for (const auto& line : report.bad_lines) {
    bad.push_back(fmt::format("{}: {}", line.line, line.reason));
  }
  EXPECT_EQ(bad,
            (Texts{"2: broken JSON at column 16: unexpected end of input; expected '\"' at the "
                   "end of the text",
                   "3: invalid UTF-8 at column 15", "4: the JSON object has no field \"text\"",
                   "5: the field \"text\" must be a string, got a number",
                   "6: expected a JSON object with the field \"text\", got another JSON value",
                   "8: broken JSON at column 15: unexpected 't'; expected end of input",
                   "9: the field \"text\" must be a string, got a text with half a surrogate "
                   "pair",
                   "10: the JSON object has no field \"text\"",
                   "11: the field \"text\" must be a string, got an object"}));
}

TEST(TextReader, ANulByteAndASecondTextMakeABadLine) {
  const TestDirectory directory;
  using namespace std::string_literals;
  const auto path = directory.write("a.jsonl", "{\"text\": \"one\"}\0\n"s +
                                                   "{\"text\": \"a\", \"text\": \"b\"}\n"
                                                   "{\"text\": \"a\", \"text\": 5}\n"
                                                   "{\"n\": {\"text\": 1}, \"text\": \"two\"}\n");
  TextReader reader(path, kSkipAll);
  EXPECT_EQ(read_documents(reader), (Texts{"two"}));
  EXPECT_EQ(reader.report().invalid_json_lines, 3);
  ASSERT_EQ(reader.report().bad_lines.size(), 3U);
  EXPECT_EQ(reader.report().bad_lines[0].reason,
            "broken JSON at column 16: unexpected NUL byte; expected end of input");
  for (const size_t line : {1U, 2U}) {
    EXPECT_EQ(reader.report().bad_lines[line].reason,
              "expected one field \"text\", got another one");
  }
}

TEST(TextReader, StopsAtTheFirstBadLineBeyondThoseThatMayBeSkipped) {
  const TestDirectory directory;
  const auto json = directory.write("a.jsonl", "{\"text\": \"one\"}\n\nnonsense\n");
  TextReader reader(json);
  std::string document;
  EXPECT_TRUE(reader.next(document));
  EXPECT_EQ(
      error_of(ErrorCode::kData, [&] { reader.next(document); }),
      json.string() +
          ":3: broken JSON at column 1: unexpected 'n'; expected a value. Correct or drop the "
          "line.");
  TextReader of_two(directory.write("c.jsonl", "a\n{\"text\": \"b\"}\nc\nd\n"), {.skip = 2});
  EXPECT_TRUE(of_two.next(document));
  EXPECT_EQ(document, "b");
  expect_contains(error_of(ErrorCode::kData, [&] { of_two.next(document); }), "c.jsonl:4: ");
  EXPECT_EQ(of_two.report().num_bad_lines(), 2);
  const auto text = directory.write("b.txt", "fine\nbad \xC0\x80\n");
  TextReader text_reader(text);
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { text_reader.next(document); }),
            text.string() + ":2: invalid UTF-8. Correct or drop the line.");
}

TEST(TextReader, OnlyTheFirstBadLinesAreListedAndAllAreCounted) {
  const TestDirectory directory;
  TextReader reader(directory.write("a.jsonl", joined(Texts(1000, "nonsense"), "\n")), kSkipAll);
  EXPECT_EQ(read_documents(reader), Texts{});
  EXPECT_EQ(reader.report().invalid_json_lines, 1000);
  EXPECT_EQ(reader.report().bad_lines.size(), TextReaderReport::kMaxReported);
}

TEST(TextReader, ATxtFileIsOneDocumentByteForByte) {
  const TestDirectory directory;
  const std::string text = "one\n\n  two\r three\n\xC3\xA9";
  for (const auto& path : {directory.write("a.txt", text), directory.write("a.txt.gz", gzip(text)),
                           directory.write("a.txt.zst", zstd(text))}) {
    TextReader reader(path);
    EXPECT_EQ(read_documents(reader), Texts{text}) << path;
    EXPECT_EQ(reader.bytes_read(), std::filesystem::file_size(path));
  }
  TextReader windows(directory.write("b.txt", "\xEF\xBB\xBFone\r\ntwo\r\n\r"));
  EXPECT_EQ(read_documents(windows), Texts{"one\ntwo\n\r"});
}

TEST(TextReader, ATxtFileThatIsNotUtf8IsSkippedWithItsLine) {
  const TestDirectory directory;
  TextReader reader(directory.write("a.txt", "one\ntwo\nlatin \xE9 one\n"), kSkipAll);
  EXPECT_EQ(read_documents(reader), Texts{});
  EXPECT_EQ(reader.report().invalid_utf8_documents, 1);
  EXPECT_EQ(reader.report().first_bad_line, 3);
}

TEST(TextReader, AnEmptyTxtFileIsAnEmptyDocument) {
  const TestDirectory directory;
  TextReader reader(directory.write("a.txt", ""));
  EXPECT_EQ(read_documents(reader), Texts{});
  EXPECT_EQ(reader.report().empty_documents, 1);
}

TEST(TextReader, ATruncatedTxtNamesTheLineWhereItEnds) {
  const TestDirectory directory;
  const auto packed = zstd(joined(many_lines(), "\n"));
  const auto path = directory.write("a.txt.zst", packed.substr(0, packed.size() - 4));
  TextReader reader(path, kSkipAll);
  std::string document;
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { reader.next(document); }),
            path.string() + ":3002: the zstd stream is truncated.");
}

TEST(IsValidUtf8, FollowsTable37OfUnicode) {
  for (const std::string good : {"", "ascii", "\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80",
                                 "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80",
                                 "\xF4\x8F\xBF\xBF", "12345678\xC3\xA9", "1234567\xC3\xA9"}) {
    EXPECT_TRUE(is_valid_utf8(good)) << ::testing::PrintToString(good);
  }
  for (const std::string bad :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xE0\xA0",
        "\xED\xA0\x80", "\xED\xBF\xBF", "\xEF\xBF", "\xF0\x8F\xBF\xBF", "\xF0\x90\x80",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE1\x80\x41", "\xF1\x80\x80\xC0"}) {
    EXPECT_FALSE(is_valid_utf8(bad)) << ::testing::PrintToString(bad);
    EXPECT_EQ(valid_utf8_prefix("12345678 " + bad + " x"), 9U) << ::testing::PrintToString(bad);
  }
  EXPECT_TRUE(is_valid_utf8(std::string_view("\0", 1)));
  EXPECT_FALSE(is_valid_utf8(std::string_view("\xC3\xA9", 1))) << "the text ends inside a letter";
}

}  // namespace
}  // namespace loopbank
