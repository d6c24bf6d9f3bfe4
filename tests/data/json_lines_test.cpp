/// Lines of JSON with what JSON's common writers emit and what no writer should: which documents
/// come out, exact to the byte, and which lines are told.

#include <gtest/gtest.h>

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "loopbank/data/text_reader.h"
#include "tests/data/compressed.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using namespace std::string_literals;
using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;

struct LinesCase {
  std::string name;
  std::string bytes;
  std::vector<std::string> documents;
  std::vector<int64_t> bad_lines;
};

std::ostream& operator<<(std::ostream& out, const LinesCase& lines) {
  return out << lines.name;
}

std::string nested(size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

const std::vector<LinesCase> kLines = {
    {"NulAsAnEscapeIsACharacter",
     "{\"text\": \"x\\u0000y\"}\n{\"text\": \"\\u0000\"}\n",
     {"x\0y"s, "\0"s},
     {}},
    {"NulByteWithinATextIsNoJson",
     "{\"text\": \"a\"}\n{\"text\": \"x\0y\"}\n{\"text\": \"b\"}\n"s,
     {"a", "b"},
     {2}},
    {"NulByteBehindTheObjectIsNoEnd",
     "{\"text\": \"a\"}\0{\"text\": \"b\"}\n{\"text\": \"c\"}\0\n{\"text\": \"d\"}\n\0\0\0\n"s,
     {"d"},
     {1, 2, 4}},
    {"TextBehindTheObjectIsAnError",
     "{\"text\": \"a\"} , \n{\"text\": \"b\"}{\"text\": \"c\"}\n{\"text\": \"d\"}]\n{\"text\": "
     "\"e\"}\t \n",
     {"e"},
     {1, 2, 3}},
    {"NumbersThatNoDoubleHoldsInOtherFields",
     "{\"n\": 1e400, \"text\": \"a\"}\n{\"text\": \"b\", \"n\": [-1E+999, " +
         std::string(500, '9') + "]}\n{\"n\": 1e-999, \"text\": \"c\"}\n",
     {"a", "b", "c"},
     {}},
    {"NanAndInfinityInOtherFields",
     "{\"n\": NaN, \"text\": \"a\"}\n{\"text\": \"b\", \"n\": {\"x\": [Infinity, -Infinity]}}\n",
     {"a", "b"},
     {}},
    {"OtherWordsAreNoJson",
     "{\"n\": nan, \"text\": \"a\"}\n{\"n\": -NaN, \"text\": \"b\"}\n{\"n\": undefined, \"text\": "
     "\"c\"}\n{\"n\": +1, \"text\": \"d\"}\n{\"n\": .5, \"text\": \"e\"}\n{'text': 'f'}\n",
     {},
     {1, 2, 3, 4, 5, 6}},
    {"HalfASurrogatePairInOtherFields",
     R"({"title": "\ud800", "text": "a"})"
     "\n"
     R"({"text": "b", "\udc00": "\udc00\ud800"})"
     "\n",
     {"a", "b"},
     {}},
    {"HalfASurrogatePairInTheTextIsNoText",
     R"({"text": "x\ud83d"})"
     "\n"
     R"({"text": "\ude00\ud83d"})"
     "\n"
     R"({"text": "\ud83d\u0041"})"
     "\n"
     R"({"text": "\uD83D\uDE00"})"
     "\n",
     {"\xF0\x9F\x98\x80"},
     {1, 2, 3}},
    {"AnyDepthBesideTheText",
     "{\"tree\": " + nested(100'000) + ", \"text\": \"a\"}\n{\"text\": \"b\", \"tree\": " +
         nested(3) + "}\n{\"tree\": " + std::string(50'000, '[') + ", \"text\": \"c\"}\n",
     {"a", "b"},
     {3}},
    {"LinesThatEndInCrLf",
     "{\"text\": \"a\"}\r\n{\"text\": \"x\\r\\ny\"}\r\n\r\n{\"text\": \"b\"}\r\n",
     {"a", "x\r\ny", "b"},
     {}},
    {"AByteOrderMarkBeforeALineIsNoPartOfIt",
     "\xEF\xBB\xBF{\"text\": \"a\"}\n{\"text\": \"\xEF\xBB\xBF\"}\n\xEF\xBB\xBF{\"text\": \"b\"}\n",
     {"a", "\xEF\xBB\xBF", "b"},
     {}},
    {"KeysThatLookLikeText",
     R"({"Text": 1, "text ": 2, "te\u0078t": "a"})"
     "\n"
     R"({"list": [{"text": "no"}], "text": "b"})"
     "\n"
     R"({"text": null})"
     "\n"
     R"({"text": NaN})"
     "\n"
     R"({"text": ["c"]})"
     "\n",
     {"a", "b"},
     {3, 4, 5}},
    {"EveryEscape",
     R"({"text": "\" \\ \/ \b\f\n\r\t \u00e9\u20AC"})"
     "\n"
     R"({"text": "\x41"})"
     "\n"
     R"({"text": "\u12"})"
     "\n"
     "{\"text\": \"tab\there\"}\n",
     {"\" \\ / \b\f\n\r\t \xC3\xA9\xE2\x82\xAC"},
     {2, 3, 4}},
};

class JsonLines : public ::testing::TestWithParam<LinesCase> {};

TEST_P(JsonLines, GiveTheirDocumentsAndTellTheirBadLines) {
  const auto& lines = GetParam();
  const TestDirectory directory;
  for (const auto& path : {directory.write("a.jsonl", lines.bytes),
                           directory.write("a.jsonl.gz", testing::gzip(lines.bytes)),
                           directory.write("a.jsonl.zst", testing::zstd(lines.bytes))}) {
    TextReader reader(path, {.skip = INT64_MAX});
    std::vector<std::string> documents;
    for (std::string document; reader.next(document);) {
      documents.push_back(document);
    }
    EXPECT_EQ(documents, lines.documents) << path;
    std::vector<int64_t> bad_lines;
    for (const auto& bad : reader.report().bad_lines) {
      bad_lines.push_back(bad.line);
    }
    EXPECT_EQ(bad_lines, lines.bad_lines) << path;
    // Where none may be skipped, the first of them ends the reading.
    TextReader strict(path);
    const auto read_all = [&] {
      for (std::string document; strict.next(document);) {
      }
    };
    if (lines.bad_lines.empty()) {
      EXPECT_NO_THROW(read_all());
    } else {
      expect_contains(error_of(ErrorCode::kData, read_all),
                      fmt::format("{}:{}: ", path.string(), lines.bad_lines.front()));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Everywhere, JsonLines, ::testing::ValuesIn(kLines),
                         [](const auto& item) { return item.param.name; });

}  // namespace
}  // namespace loopbank
