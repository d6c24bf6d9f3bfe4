/// What a broken or unsupported tokenizer.json gets: one line that names the file and the part.

#include "loopbank/tokenize/tokenizer_json.h"

#include <gtest/gtest.h>

#include "loopbank/tokenize/byte_alphabet.h"
#include "tests/support/test_directory.h"
#include "tests/tokenize/small_tokenizer.h"

namespace loopbank {
namespace {

using testing::added_token;
using testing::byte_level;
using testing::error_of;
using testing::expect_contains;
using testing::Json;
using testing::sequence;
using testing::small_tokenizer;
using testing::TestDirectory;

Json whole() {
  return small_tokenizer({{"a", "b"}, {"ab", "c"}});  // ids 256 and 257, <|endoftext|> is 258
}

struct Fault {
  std::string name;
  std::function<void(Json&)> spoil;
  std::string message;
};

std::ostream& operator<<(std::ostream& out, const Fault& fault) {
  return out << fault.name;
}

void set_vocab(Json& json, const std::string& token, const Json& id) {
  json["model"]["vocab"][token] = id;
}

const std::vector<Fault> kFaults = {
    {"List", [](Json& j) { j = Json::array({1}); }, "top level: expected an object, got a list."},
    {"NoModel", [](Json& j) { j.erase("model"); },
     "top level: expected the key \"model\", got none of that name."},
    {"OtherModel", [](Json& j) { j["model"]["type"] = "Unigram"; },
     "model.type: expected \"BPE\", got \"Unigram\": other models are not supported."},
    {"NoVocabulary", [](Json& j) { j["model"].erase("vocab"); },
     "model: expected the key \"vocab\", got none of that name."},
    {"NoMerges", [](Json& j) { j["model"].erase("merges"); },
     "model: expected the key \"merges\", got none of that name."},
    {"MergesOfAnotherKind", [](Json& j) { j["model"]["merges"] = "a b"; },
     "model.merges: expected a list, got \"a b\"."},
    {"Dropout", [](Json& j) { j["model"]["dropout"] = 0.1; },
     "model.dropout: expected it to be off, got 0.1: it is not supported."},
    {"Suffix", [](Json& j) { j["model"]["end_of_word_suffix"] = "</w>"; },
     "model.end_of_word_suffix: expected it to be off, got \"</w>\": it is not supported."},
    {"Normalizer",
     [](Json& j) {
       j["normalizer"] = {{"type", "NFC"}};
     },
     "normalizer: expected null, got \"NFC\": normalizers are not supported."},
    {"PostProcessor",
     [](Json& j) {
       j["post_processor"] = {{"type", "TemplateProcessing"}};
     },
     "post_processor.type: expected \"ByteLevel\" or null, got \"TemplateProcessing\": it is not "
     "supported."},
    {"Decoder",
     [](Json& j) {
       j["decoder"] = {{"type", "Metaspace"}};
     },
     "decoder.type: expected \"ByteLevel\" or null, got \"Metaspace\": it is not supported."},
    {"NoPreTokenizer", [](Json& j) { j.erase("pre_tokenizer"); },
     "top level: expected the key \"pre_tokenizer\", got none of that name."},
    {"NullPreTokenizer", [](Json& j) { j["pre_tokenizer"] = nullptr; },
     "pre_tokenizer: expected an object, got null."},
    {"OtherPreTokenizer", [](Json& j) { j["pre_tokenizer"]["type"] = "Whitespace"; },
     "pre_tokenizer.type: expected \"ByteLevel\", \"Digits\", \"Split\" or a \"Sequence\" of them, "
     "got \"Whitespace\": it is not supported."},
    {"NoPrefixFlag", [](Json& j) { j["pre_tokenizer"].erase("add_prefix_space"); },
     "pre_tokenizer: expected the key \"add_prefix_space\", got none of that name."},
    {"FlagOfAnotherKind", [](Json& j) { j["pre_tokenizer"]["use_regex"] = 1; },
     "pre_tokenizer.use_regex: expected true or false, got 1."},
    {"ByteLevelFirst",
     [](Json& j) {
       j["pre_tokenizer"] =
           sequence({byte_level(), {{"type", "Digits"}, {"individual_digits", true}}});
     },
     "pre_tokenizer: expected one ByteLevel, as the last step, got an earlier one in 2 steps."},
    {"NoByteLevel", [](Json& j) { j["pre_tokenizer"] = sequence({}); },
     "pre_tokenizer: expected one ByteLevel, as the last step, got none in 0 steps."},
    {"SplitThatDrops",
     [](Json& j) {
       j["pre_tokenizer"] = sequence({{{"type", "Split"},
                                       {"pattern", {{"String", " "}}},
                                       {"behavior", "Removed"},
                                       {"invert", false}},
                                      byte_level()});
     },
     "pre_tokenizer.pretokenizers[0].behavior: expected \"Isolated\", got \"Removed\": it is not "
     "supported."},
    {"BrokenPattern",
     [](Json& j) {
       j["pre_tokenizer"] = sequence({{{"type", "Split"},
                                       {"pattern", {{"Regex", "(a"}}},
                                       {"behavior", "Isolated"},
                                       {"invert", false}},
                                      byte_level()});
     },
     "pre-tokenizer: expected a regular expression that PCRE2 reads, got \"(a\": missing closing "
     "parenthesis (byte 2 of \"(a\")."},
    {"TokenOutsideTheAlphabet", [](Json& j) { set_vocab(j, "\u2581the", 259); },
     "model.vocab: expected tokens in the byte-level alphabet, got \"\u2581the\"."},
    {"HoleInTheIds", [](Json& j) { set_vocab(j, "abc", 300); },
     "model.vocab: expected the ids 0 to 258 without holes, got 300 for \"abc\"."},
    {"IdTwice", [](Json& j) { set_vocab(j, "abc", 256); },
     "model.vocab: expected one token for id 256, got \"ab\" and \"abc\"."},
    {"NegativeId", [](Json& j) { set_vocab(j, "abc", -1); },
     "model.vocab: expected the ids 0 to 258 without holes, got -1 for \"abc\"."},
    {"IdOfAnotherKind", [](Json& j) { set_vocab(j, "abc", "257"); },
     "model.vocab: expected the ids 0 to 258 without holes, got \"257\" for \"abc\"."},
    {"ByteWithoutAToken",
     [](Json& j) {
       j["model"]["vocab"].erase("A");
       set_vocab(j, "AA", 65);
     },
     "tokenizer: expected a token for each of the 256 bytes, got none for 0x41."},
    {"MergeOfAnUnknownToken", [](Json& j) { j["model"]["merges"][1] = "xy z"; },
     "model.merges[1]: expected tokens of model.vocab, got \"xy\"."},
    {"MergeIntoAnUnknownToken", [](Json& j) { j["model"]["merges"][1] = "a c"; },
     "model.merges[1]: expected tokens of model.vocab, got \"ac\"."},
    {"MergeTwice",
     [](Json& j) {
       j["model"]["merges"][1] = {"a", "b"};
     },
     "model.merges[1]: expected each pair once, got \"a\" and \"b\" again."},
    {"MergeOfThree", [](Json& j) { j["model"]["merges"][1] = "a b c"; },
     "model.merges[1]: expected a pair of tokens as \"a b\" or [\"a\", \"b\"], got \"a b c\"."},
    {"MergeOfNumbers",
     [](Json& j) {
       j["model"]["merges"][1] = {1, 2};
     },
     "model.merges[1][0]: expected a string, got 1."},
    {"AddedTokenWithoutId", [](Json& j) { j["added_tokens"][0].erase("id"); },
     "added_tokens[0]: expected the key \"id\", got none of that name."},
    {"AddedTokenOfAnotherId", [](Json& j) { j["added_tokens"][0]["id"] = 5; },
     "added_tokens[0].id: expected 258, the id of \"<|endoftext|>\" in model.vocab, got 5."},
    {"AddedTokenTwice", [](Json& j) { j["added_tokens"].push_back(j["added_tokens"][0]); },
     "added_tokens[1].content: expected a text that no other added token has, got "
     "\"<|endoftext|>\"."},
    {"AddedTokenBeyondAHole", [](Json& j) { j["added_tokens"].push_back(added_token(260, "<s>")); },
     "added_tokens[1].id: expected the ids 0 to 259 without holes, got 260 for \"<s>\"."},
    {"AddedTokenThatStrips", [](Json& j) { j["added_tokens"][0]["lstrip"] = true; },
     "added_tokens[0].lstrip: expected it to be off, got true: it is not supported."},
};

class SpoiledTokenizerJson : public ::testing::TestWithParam<Fault> {};

TEST_P(SpoiledTokenizerJson, IsRefusedWithTheFileAndThePart) {
  const TestDirectory directory;
  auto json = whole();
  GetParam().spoil(json);
  const auto path = directory.write("tokenizer.json", json.dump());
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { Tokenizer::load(path); }),
            path.string() + ": " + GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(Faults, SpoiledTokenizerJson, ::testing::ValuesIn(kFaults),
                         [](const auto& item) { return item.param.name; });

TEST(TokenizerJson, TruncatedAnywhereIsRefusedWithTheFile) {
  const TestDirectory directory;
  const auto text = whole().dump();
  for (size_t size = 0; size < text.size(); size += 97) {
    const auto path = directory.write("tokenizer.json", text.substr(0, size));
    const auto error = error_of(ErrorCode::kData, [&] { Tokenizer::load(path); });
    expect_contains(error, path.string() + ":1:");
    expect_contains(error, ": expected JSON to its end, got broken JSON: ");
    expect_contains(error, ". The file may be truncated.");
  }
}

TEST(TokenizerJson, NumbersThatNoDoubleHoldsAreRefused) {
  expect_contains(error_of(ErrorCode::kData,
                           [] { (void)parse_tokenizer_json(R"({"model": 1e999})", "a.json"); }),
                  "a.json: ");
}

TEST(TokenizerJson, NestingWithoutEndIsRefused) {
  const auto text = R"({"model":)" + std::string(300'000, '[') + std::string(300'000, ']') + "}";
  expect_contains(error_of(ErrorCode::kData, [&] { (void)parse_tokenizer_json(text, "a.json"); }),
                  "a.json:1:137: expected JSON that nests at most 128 levels, got level 129.");
}

TEST(TokenizerJson, TheOrderOfTheVocabularyInTheFileDoesNotMatter) {
  const auto definition = parse_tokenizer_json(whole().dump(), "a");
  ASSERT_EQ(definition.tokens.size(), 259U);
  EXPECT_EQ(definition.tokens[' '], " ");
  EXPECT_EQ(definition.tokens[0xFF], "\xFF");
  EXPECT_EQ(definition.tokens[257], "abc");
  EXPECT_EQ(definition.merges, (std::vector<Merge>{{'a', 'b', 256}, {256, 'c', 257}}));
}

TEST(TokenizerJson, KeysThatChangeNoIdArePassedOver) {
  auto json = whole();
  json["truncation"] = {{"max_length", 512}};
  json["model"]["fuse_unk"] = false;
  json["model"]["unk_token"] = "<|endoftext|>";
  json["post_processor"] = byte_level();
  EXPECT_EQ(parse_tokenizer_json(json.dump(), "a").tokens.size(), 259U);
}

TEST(ByteAlphabet, SpellsBytesAsGpt2Does) {
  EXPECT_EQ(spell_bytes("a b\n"), "a\u0120b\u010A");
  EXPECT_EQ(spell_bytes(std::string("\0\x7F\xA0\xAD\xFF", 5)), "\u0100\u0121\u0142\u0143\u00FF");
}

TEST(ByteAlphabet, EveryByteComesBackAndOtherCharactersDoNot) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    EXPECT_EQ(bytes_of_spelling(spell_bytes(text)), text);
  }
  for (const std::string other : {" ", "\n", "\u00AD", "\u0144", "\u2581", "\U0001F600"}) {
    EXPECT_FALSE(bytes_of_spelling(other)) << other;
  }
}

}  // namespace
}  // namespace loopbank
