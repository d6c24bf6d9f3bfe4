#include "loopbank/support/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "loopbank/support/files.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::TestDirectory;

std::string refusal(std::string_view text, const JsonForm& form = {}) {
  return error_of(form.code, [&] { static_cast<void>(parse_json(text, "a.json", form)); });
}

TEST(ParseJson, BuildsWhatTheLibraryBuilds) {
  for (const std::string text :
       {R"({"a": [1, -2, 2.5, true, false, null, "x"], "b": {"c": {}, "d": []}})", "[]", "{}", "7",
        "-0", "1e-400", "18446744073709551615", "18446744073709551616", R"("\u00e9\ud83d\ude00\n")",
        " [ [1], [[2]], {\"k\": [3]} ] ", "\xEF\xBB\xBF{\"bom\": 1}"}) {
    SCOPED_TRACE(text);
    const auto expected = nlohmann::json::parse(text);
    const auto found = parse_json(text, "a.json");
    EXPECT_EQ(found, expected);
    EXPECT_EQ(found.type(), expected.type());
    EXPECT_EQ(found.dump(), expected.dump());
  }
}

TEST(ParseJson, KeepsTheOrderOfKeysWhereThatIsAskedFor) {
  const std::string text = R"({"z":1,"a":{"y":2,"b":3}})";
  EXPECT_EQ(parse_json<nlohmann::ordered_json>(text, "a.json").dump(), text);
  EXPECT_EQ(parse_json(text, "a.json").dump(), R"({"a":{"b":3,"y":2},"z":1})");
}

TEST(ParseJson, TakesEveryLevelUpToTheLimitAndRefusesTheNext) {
  const std::string open(kDeepestJson, '[');
  const std::string close(kDeepestJson, ']');
  EXPECT_NO_THROW(static_cast<void>(parse_json(open + close, "a.json")));
  for (const char* deeper : {"{", "[", "[]"}) {
    EXPECT_EQ(refusal(open + deeper, {.code = ErrorCode::kCheckpoint}),
              "a.json:1:129: expected JSON that nests at most 128 levels, got level 129.");
  }
  // No stack is taken for what is refused.
  EXPECT_EQ(refusal(std::string(1'000'000, '[')),
            "a.json:1:129: expected JSON that nests at most 128 levels, got level 129.");
}

TEST(ParseJson, CountsLevelsAndNotBrackets) {
  std::string flat = "[";
  for (size_t i = 0; i < 2 * kDeepestJson; ++i) {
    flat += "[{}],";
  }
  EXPECT_EQ(parse_json(flat + "0]", "a.json").size(), 2 * kDeepestJson + 1);
  const std::string brackets(2 * kDeepestJson, '[');
  for (const auto& text : {"\"" + brackets + "\"", R"("\")" + brackets + "\""}) {
    EXPECT_TRUE(parse_json(text, "a.json").is_string());
  }
  refusal(R"(["\\",)" + brackets);
}

TEST(ParseJson, AKeyThatStandsTwiceInOneObjectIsRefused) {
  EXPECT_EQ(refusal("{\"a\": 1,\n \"b\": {\"a\": 2, \"a\": 3}}"),
            "a.json:2:18: expected every key once in an object, got \"a\" again.");
  EXPECT_EQ(refusal(R"({"a": 1, "\u0061": 1})"),
            "a.json:1:17: expected every key once in an object, got \"a\" again.");
  EXPECT_NO_THROW(static_cast<void>(parse_json(R"([{"a": 1}, {"a": {"a": 2}}])", "a.json")));
  const auto ordered = [] {
    static_cast<void>(parse_json<nlohmann::ordered_json>(R"({"a": 1, "a": 1})", "a.json"));
  };
  EXPECT_EQ(error_of(ErrorCode::kData, ordered),
            "a.json:1:12: expected every key once in an object, got \"a\" again.");
}

TEST(ParseJson, ANulByteIsNoEnd) {
  using namespace std::string_literals;
  EXPECT_EQ(refusal("{\"a\": 1}\0"s), "a.json:1:9: expected JSON, got a NUL byte.");
  EXPECT_EQ(refusal("{\"a\": 1}\n\0{"s), "a.json:2:1: expected JSON, got a NUL byte.");
  EXPECT_EQ(refusal("\"\0\""s), "a.json:1:2: expected JSON, got a NUL byte.");
}

TEST(ParseJson, NamesThePlaceOfWhatIsBroken) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "a.json:1:1: expected JSON, got broken JSON: unexpected end of input"},
      {"{\"a\": 1} x",
       "a.json:1:10: expected JSON, got broken JSON: unexpected 'x'; expected end of input"},
      {"{} {}",
       "a.json:1:4: expected JSON, got broken JSON: unexpected '{'; expected end of input"},
      {"{\n  \"a\": nul\n}",
       "a.json:2:8: expected JSON, got broken JSON: unexpected 'n'; expected a value"},
      {"[1,\n2", "a.json:2:1: expected JSON, got broken JSON: unexpected end of input"},
      {"[\"\xC3(\"]", "a.json:1:3: expected JSON in UTF-8, got byte 0xc3"},
      {"[\"\xED\xA0\x80\"]", "a.json:1:3: expected JSON in UTF-8, got byte 0xed"},
      {"[01]", "a.json:1:3: expected JSON, got broken JSON: unexpected '1'; expected ',' or ']'"},
      {"[-x]", "a.json:1:3: expected JSON, got broken JSON: unexpected 'x'; expected a digit"},
      {"[1.]", "a.json:1:4: expected JSON, got broken JSON: unexpected ']'; expected a digit"},
      {"[1e+]", "a.json:1:5: expected JSON, got broken JSON: unexpected ']'; expected a digit"},
      {"[Nan]", "a.json:1:2: expected JSON, got broken JSON: unexpected 'N'; expected a value"},
      {"{a: 1}", "a.json:1:2: expected JSON, got broken JSON: unexpected 'a'; expected a key"},
      {"{\"a\" 1}", "a.json:1:6: expected JSON, got broken JSON: unexpected '1'; expected ':'"},
      {"[\"a\tb\"]",
       "a.json:1:4: expected JSON, got broken JSON: unexpected byte 0x09; expected "
       "control characters as escapes"},
      {R"(["\x"])",
       "a.json:1:4: expected JSON, got broken JSON: unexpected 'x'; expected an escape"},
      {R"(["\u12g4"])",
       "a.json:1:7: expected JSON, got broken JSON: unexpected 'g'; expected four"}};
  for (const auto& [text, expected] : cases) {
    SCOPED_TRACE(text);
    const auto error = refusal(text);
    EXPECT_TRUE(error.starts_with(expected)) << error;
    EXPECT_TRUE(error.ends_with(".")) << error;
  }
}

/// What Python's json module and others write beside JSON.
const std::vector<std::string> kUnreadable = {
    "NaN",           "Infinity",          "-Infinity",    "1e999", "-1e999", std::string(400, '7'),
    R"("a\ud800b")", R"("\ude00\ud83d")", R"("\ud83d\n")"};

TEST(ParseJson, WhatNobodyCanReadIsPassedOverWhereItIsNotRead) {
  for (const auto& spelling : kUnreadable) {
    SCOPED_TRACE(spelling);
    const auto json = parse_json(
        "{\"other\": [" + spelling + "], \"x\": 5, \"y\": " + spelling + ", \"z\": \"text\"}",
        "a.json");
    const JsonValues values(json, "a.json");
    EXPECT_EQ(values.count("x"), 5);
    EXPECT_EQ(values.text("z"), "text");
    EXPECT_TRUE(is_unreadable(json.at("y")));
    EXPECT_TRUE(is_unreadable(values.list("other").at(0)));
    const auto shown = spelling.size() < 60 ? spelling : spelling.substr(0, 60) + "...";
    EXPECT_EQ(show_json(json.at("y")), shown);
    EXPECT_EQ(error_of(ErrorCode::kData, [&] { static_cast<void>(values.number("y")); }),
              "a.json: \"y\" expects a number, got " + shown + ".");
    EXPECT_EQ(error_of(ErrorCode::kData, [&] { static_cast<void>(values.text("y")); }),
              "a.json: \"y\" expects a text, got " + shown + ".");
  }
  EXPECT_EQ(parse_json(R"({"\ud800": 1, "a": 2})", "a.json").at("a"), 2);
  for (const auto& good : {R"("\ud83d\ude00")", "1e308", "4e-324", "1e-999", "null"}) {
    EXPECT_FALSE(is_unreadable(parse_json(good, "a.json"))) << good;
  }
}

TEST(ParseJson, AnErrorIsOneShortLineInTheReadersWords) {
  const auto error = refusal("[\"" + std::string(100'000, 'x') + "\n\"]",
                             {.expected = "a list of texts", .remedy = "Write it anew."});
  EXPECT_TRUE(error.starts_with("a.json:1:100003: expected a list of texts, got broken JSON: "));
  EXPECT_TRUE(error.ends_with(". Write it anew."));
  EXPECT_LT(error.size(), 250U) << error;
  EXPECT_LT(
      refusal("{\"" + std::string(1000, 'k') + "\": 1, \"" + std::string(1000, 'k') + "\"").size(),
      200U);
}

TEST(ParseJson, RefusesMoreThanTheLimitBeforeItIsParsed) {
  const std::string blanks(kLargestJsonBytes + 1, ' ');
  EXPECT_EQ(refusal(blanks),
            "a.json:1:268435457: expected JSON of at most 268435456 bytes, got 268435457.");
}

TEST(ReadJsonFile, NamesTheFileAndTheLine) {
  const TestDirectory directory;
  const auto path = directory.path() / "state.json";
  write_file_atomically(path, "{\"a\": 1,\n\"b\": }");
  const JsonForm form{.code = ErrorCode::kCheckpoint, .expected = "a state"};
  const auto read = [&] { static_cast<void>(read_json_file(path, form)); };
  const auto error = error_of(ErrorCode::kCheckpoint, read);
  EXPECT_TRUE(error.starts_with(path.string() + ":2:6: expected a state, got broken JSON: "))
      << error;
  write_file_atomically(path, "{\"a\": 1}");
  EXPECT_EQ(read_json_file(path, form), nlohmann::json({{"a", 1}}));
  std::filesystem::remove(path);
  EXPECT_NE(error_of(ErrorCode::kCheckpoint, read).find("No such file"), std::string::npos);
}

TEST(ReadJsonFile, EndsAtTheLimitOfAFileWithoutEnd) {
  EXPECT_EQ(error_of(ErrorCode::kData, [] { static_cast<void>(read_json_file("/dev/zero")); }),
            "/dev/zero: expected a file of at most 268435456 bytes, got a larger one.");
}

struct Row {
  nlohmann::json value;
  std::string where;
};

std::vector<Row> rows_of(const std::string& text, size_t most = SIZE_MAX) {
  std::istringstream lines(text);
  std::vector<Row> rows;
  for_each_json_line(
      [&](std::string& line) { return static_cast<bool>(std::getline(lines, line)); }, "a.jsonl",
      {.expected = "a line of JSON"},
      [&](const nlohmann::json& value, const std::string& where) {
        rows.push_back({value, where});
        return rows.size() < most;
      });
  return rows;
}

TEST(ForEachJsonLine, NamesEachLineAndPassesOverBlankOnes) {
  const auto rows = rows_of("{\"a\": 1}\n\n \t\r\n[2]\r\n3");
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].where, "a.jsonl:1");
  EXPECT_EQ(rows[1].where, "a.jsonl:4");
  EXPECT_EQ(rows[1].value, nlohmann::json({2}));
  EXPECT_EQ(rows[2].where, "a.jsonl:5");
  EXPECT_EQ(rows_of("1\n2\nbroken", 2).size(), 2U);
}

TEST(ForEachJsonLine, AnErrorNamesFileLineAndColumn) {
  const auto refusal_of = [](const std::string& text) {
    return error_of(ErrorCode::kData, [&] { rows_of(text); });
  };
  EXPECT_TRUE(
      refusal_of("1\n[1,]\n")
          .starts_with("a.jsonl:2:4: expected a line of JSON, got broken JSON: unexpected ']'"));
  EXPECT_EQ(refusal_of("1\n\n" + std::string(100'000, '[')),
            "a.jsonl:3:129: expected JSON that nests at most 128 levels, got level 129.");
  EXPECT_EQ(refusal_of("{\"a\": 1, \"a\": 2}"),
            "a.jsonl:1:12: expected every key once in an object, got \"a\" again.");
}

TEST(JsonValues, EachTypeIsCheckedAndEachErrorNamesTheKey) {
  const nlohmann::json json = {{"text", "x"},          {"count", 3},        {"below", -3},
                               {"real", 2.5},          {"flag", true},      {"list", {1, 2}},
                               {"object", {{"a", 1}}}, {"huge", UINT64_MAX}};
  const JsonValues values(json, "a.json: part", {.remedy = "Write it anew."});
  EXPECT_EQ(values.text("text"), "x");
  EXPECT_EQ(values.count("count"), 3);
  EXPECT_EQ(values.integer("below"), -3);
  EXPECT_EQ(values.number("real"), 2.5);
  EXPECT_EQ(values.number("count"), 3.0);
  EXPECT_TRUE(values.flag("flag"));
  EXPECT_EQ(values.list("list").size(), 2U);
  EXPECT_EQ(values.object("object").size(), 1U);
  EXPECT_TRUE(values.has("list"));
  EXPECT_FALSE(values.has("lists"));
  const auto refused = [](const auto& action) { return error_of(ErrorCode::kData, action); };
  EXPECT_EQ(refused([&] { static_cast<void>(values.at("lists")); }),
            "a.json: part: expected the key \"lists\", got none. Write it anew.");
  EXPECT_EQ(refused([&] { static_cast<void>(values.text("count")); }),
            "a.json: part: \"count\" expects a text, got 3. Write it anew.");
  EXPECT_EQ(refused([&] { static_cast<void>(values.count("below")); }),
            "a.json: part: \"below\" expects a whole number from 0, got -3. Write it anew.");
  for (const char* key : {"real", "huge", "text"}) {
    refused([&] { static_cast<void>(values.integer(key)); });
    refused([&] { static_cast<void>(values.count(key)); });
  }
  EXPECT_EQ(refused([&] { static_cast<void>(values.number("list")); }),
            "a.json: part: \"list\" expects a number, got a list. Write it anew.");
  refused([&] { static_cast<void>(values.flag("count")); });
  refused([&] { static_cast<void>(values.list("object")); });
  refused([&] { static_cast<void>(values.object("list")); });
  refused([&] { values.expect_text("text", "y"); });
  refused([&] { values.expect_count("count", 4); });
  EXPECT_EQ(refused([] { static_cast<void>(JsonValues(nlohmann::json::array(), "a.json")); }),
            "a.json: expected a JSON object, got array.");
}

TEST(ShowJson, CutsLongTextsBetweenCharacters) {
  EXPECT_EQ(show_json("short"), "\"short\"");
  EXPECT_EQ(show_json({1, 2}), "a list");
  EXPECT_EQ(show_json({{"a", 2}}), "an object");
  std::string accents;
  for (int i = 0; i < 100; ++i) {
    accents += "\xC3\xA9";
  }
  for (const auto& text : {accents, "x" + accents}) {
    const auto shown = show_json(text);
    EXPECT_LE(shown.size(), 63U);
    EXPECT_TRUE(shown.ends_with("\xC3\xA9...")) << shown;
  }
}

}  // namespace
}  // namespace loopbank
