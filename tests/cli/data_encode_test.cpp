/// data encode, decode and train-tokenizer as a user meets them.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

using Json = nlohmann::json;

TEST(DataEncode, PrintsTheIdsOfEachLine) {
  const auto result = run_program({"data", "encode", "--tokenizer", "bytes"},
                                  "{\"text\": \"ab\"}\n\n{\"text\": \"\\u00e9\", \"n\": 1}\n");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, "{\"ids\":[97,98]}\n{\"ids\":[195,169]}\n");
}

TEST(DataEncode, ReadsSpecialTokensWhereAskedFor) {
  const std::string line = "{\"text\": \"a<|endoftext|>\"}\n";
  EXPECT_EQ(run_program({"data", "encode", "--tokenizer", "bytes", "--parse-special"}, line).out,
            "{\"ids\":[97,256]}\n");
  EXPECT_EQ(run_program({"data", "encode", "--tokenizer", "bytes"}, line).out.find("256"),
            std::string::npos);
}

TEST(DataDecode, GivesTheTextBackWithWhatIsNotUtf8Replaced) {
  const auto result = run_program({"data", "decode", "--tokenizer", "bytes"},
                                  "{\"ids\": [97, 195, 169, 256]}\n{\"ids\": [97, 255]}\n");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, "{\"text\":\"a\u00E9<|endoftext|>\"}\n{\"text\":\"a\uFFFD\"}\n");
}

TEST(DataEncode, BadLinesAreNamedByTheirNumber) {
  const std::vector<std::pair<std::string, std::string>> faults = {
      {"{\"text\": ",
       "stdin:2:9: expected {\"text\": \"...\"}, got broken JSON: unexpected end of input"},
      {"{\"text\": \"\xFF\"}", "stdin:2:11: expected {\"text\": \"...\"} in UTF-8, got byte 0xff."},
      {"[\"text\"]", "stdin:2: expected {\"text\": \"...\"}, got no object."},
      {"{\"texts\": \"a\"}", "stdin:2: expected {\"text\": \"...\"}, got no such key."},
      {"{\"text\": 5}", "stdin:2: expected {\"text\": \"...\"}, got 5 in \"text\"."},
  };
  for (const auto& [line, message] : faults) {
    const auto result = run_program({"data", "encode", "--tokenizer", "bytes"}, "\n" + line + "\n");
    EXPECT_EQ(result.status, 4);
    EXPECT_NE(result.err.find(message), std::string::npos) << result.err;
  }
}

TEST(DataDecode, IdsOutsideTheVocabularyAreNamedWithTheirLine) {
  for (const char* id : {"257", "-1", "1.5", "\"a\"", "99999999999"}) {
    const auto result = run_program({"data", "decode", "--tokenizer", "bytes"},
                                    "{\"ids\": [1]}\n{\"ids\": [1, " + std::string(id) + "]}\n");
    EXPECT_EQ(result.status, 4);
    EXPECT_NE(result.err.find("stdin:2: expected {\"ids\": [...]} with ids of the tokenizer, got " +
                              std::string(id) + " in \"ids\" (vocabulary of 257)."),
              std::string::npos)
        << result.err;
  }
}

TEST(DataTrainTokenizer, WritesATokenizerThatEncodes) {
  const TestDirectory directory;
  write_text(directory.path() / "a.jsonl", "{\"text\": \"ab ab ab 11\"}\nbroken\n");
  write_text(directory.path() / "b.txt", "ab ab 11");
  const auto trained =
      run_program({"data", "train-tokenizer", "a.jsonl", "b.txt", "--vocab-size", "400", "--out",
                   "tokenizer.json", "--individual-digits", "--json", "--skip-bad", "2"},
                  "", directory.path());
  ASSERT_EQ(trained.status, 8) << trained.err;
  const auto report = Json::parse(trained.out);
  EXPECT_EQ(report["documents"], 2);
  EXPECT_EQ(report["bad_lines"], 1);
  EXPECT_EQ(report["vocab_size"], 259);  // bytes, "ab", " ab", <|endoftext|>
  EXPECT_NE(trained.err.find("a.jsonl: 1 bad lines skipped, the first is line 2"),
            std::string::npos);
  EXPECT_NE(trained.err.find("259 tokens instead of 400"), std::string::npos) << trained.err;
  const auto encoded = run_program({"data", "encode", "--tokenizer", "."},
                                   "{\"text\": \"ab ab 11\"}\n", directory.path());
  EXPECT_EQ(encoded.out, "{\"ids\":[256,257,32,49,49]}\n");
}

TEST(DataTrainTokenizer, StopsAtABadLine) {
  const TestDirectory directory;
  write_text(directory.path() / "a.jsonl", "{\"text\": \"ab\"}\nbroken\n");
  const auto result = run_program(
      {"data", "train-tokenizer", "a.jsonl", "--vocab-size", "300", "--out", "tokenizer.json"}, "",
      directory.path());
  EXPECT_EQ(result.status, 4);
  EXPECT_NE(result.err.find("a.jsonl:2:"), std::string::npos) << result.err;
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "tokenizer.json"));
}

}  // namespace
}  // namespace loopbank::testing
