/// What a broken or unsupported tokenizer.json gets: one line that names the file and the part.

#include "loopbank/tokenize/tokenizer_json.h"

#include <gtest/gtest.h>

#include "loopbank/tokenize/byte_alphabet.h"
#include "tests/support/test_directory.h"
#include "tests/tokenize/small_tokenizer.h"

namespace loopbank {
namespace {

using testing::byte_level;
using testing::error_of;
using testing::expect_contains;
using testing::Json;
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
    {"NoPrefixFlag", [](Json& j) { j["pre_tokenizer"].erase("add_prefix_space"); },
     "pre_tokenizer: expected the key \"add_prefix_space\", got none of that name."},
    {"FlagOfAnotherKind", [](Json& j) { j["pre_tokenizer"]["use_regex"] = 1; },
     "pre_tokenizer.use_regex: expected true or false, got 1."},
    {"IdTwice", [](Json& j) { set_vocab(j, "abc", 256); },
     "model.vocab: expected one token for id 256, got \"ab\" and \"abc\"."},
    {"NegativeId", [](Json& j) { set_vocab(j, "abc", -1); },
     "model.vocab: expected ids from 0 to 69679, got -1 for \"abc\"."},
    {"IdOfAnotherKind", [](Json& j) { set_vocab(j, "abc", "257"); },
     "model.vocab: expected ids from 0 to 69679, got \"257\" for \"abc\"."},
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
    {"AddedTokenTwice", [](Json& j) { j["added_tokens"].push_back(j["added_tokens"][0]); },
     "added_tokens[1].content: expected a text that no other added token has, got "
     "\"<|endoftext|>\"."},
    {"Version", [](Json& j) { j["version"] = "2.0"; }, "version: expected \"1.0\", got \"2.0\"."},
    {"IdWithoutBound", [](Json& j) { set_vocab(j, "abc", 4000000000); },
     "model.vocab: expected ids from 0 to 69679, got 4000000000 for \"abc\"."},
    {"AddedTokensOfOneId",
     [](Json& j) {  // a hole in the ids: the first one that model.vocab lacks is numbered 259
       set_vocab(j, "xyz", 259);
       j["model"]["vocab"].erase("!");
       j["added_tokens"] =
           Json::array({{{"id", 0}, {"content", "xyz"}}, {{"id", 0}, {"content", "q!"}}});
     },
     "added_tokens[1]: expected one added token for id 259, got \"q!\" as another one."},
    {"AddedIdOfAnotherKind", [](Json& j) { j["added_tokens"][0]["id"] = "258"; },
     "added_tokens[0].id: expected an id, got \"258\"."},
    {"HalfWithoutItsPrefix", [](Json& j) { j["model"]["continuing_subword_prefix"] = "###"; },
     "model.merges[0]: expected a right half that starts with \"###\", got \"b\"."},
    {"Normalizer",
     [](Json& j) {
       j["normalizer"] = {{"type", "BertNormalizer"}};
     },
     "normalizer.type: expected \"NFC\", \"NFD\", \"NFKC\", \"NFKD\", \"Lowercase\", "
     "\"StripAccents\", "
     "\"Strip\", \"Replace\", \"Prepend\", \"ByteLevel\", \"Nmt\", or a \"Sequence\" of them, got "
     "\"BertNormalizer\": it is not supported."},
    {"NormalizerWithinASequence",
     [](Json& j) {
       j["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "Strip"}}}}};
     },
     "normalizer.normalizers[0]: expected the key \"strip_left\", got none of that name."},
    {"NormalizerThatTakesATokenAway",
     [](Json& j) {
       j["normalizer"] = {{"type", "Replace"}, {"pattern", {{"Regex", ".+"}}}, {"content", ""}};
       j["added_tokens"][0]["normalized"] = true;
     },
     "tokenizer: expected a normalizer that leaves something of the added token 258, got nothing "
     "for "
     "\"<|endoftext|>\"."},
    {"PostProcessor",
     [](Json& j) {
       j["post_processor"] = {{"type", "Other"}};
     },
     "post_processor.type: expected \"ByteLevel\", \"TemplateProcessing\", \"BertProcessing\", "
     "\"RobertaProcessing\" or a \"Sequence\" of them, got \"Other\": it is not supported."},
    {"TemplateWithoutTheText",
     [](Json& j) {
       j["post_processor"] = {{"type", "TemplateProcessing"}, {"single", Json::array()}};
     },
     "post_processor.single: expected the text \"A\" once, got a template without it."},
    {"TemplateWithTheTextTwice",
     [](Json& j) {
       const Json text = {{"Sequence", {{"id", "A"}}}};
       j["post_processor"] = {{"type", "TemplateProcessing"}, {"single", {text, text}}};
     },
     "post_processor.single[1].Sequence.id: expected the text \"A\" once, got \"A\" behind it."},
    {"TemplateWithAnIdTooLarge",
     [](Json& j) {
       j["post_processor"] = {{"type", "BertProcessing"}, {"cls", {"a", 259}}, {"sep", {"b", 1}}};
     },
     "tokenizer: expected ids below 259 in the post-processor, got 259."},
    {"FrameAroundATemplate",
     [](Json& j) {
       const Json text = {{"Sequence", {{"id", "A"}}}};
       const Json frame = {{"type", "TemplateProcessing"}, {"single", {text}}};
       j["post_processor"] = {{"type", "Sequence"}, {"processors", {frame, frame}}};
     },
     "post_processor.processors[1].type: expected \"ByteLevel\" alone behind TemplateProcessing, "
     "got "
     "\"TemplateProcessing\": it is not supported."},
    {"Decoder",
     [](Json& j) {
       j["decoder"] = {{"type", "WordPiece"}};
     },
     "decoder.type: expected \"ByteLevel\", \"Replace\", \"ByteFallback\", \"Fuse\", \"Strip\", "
     "\"Metaspace\", or a \"Sequence\" of them, got \"WordPiece\": it is not supported."},
    {"DecoderThatLooksAtTheWholeText",
     [](Json& j) {
       const Json replace = {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", ""}};
       j["decoder"] = {{"type", "Sequence"}, {"decoders", {{{"type", "Fuse"}}, replace}}};
     },
     "decoder.decoders[1]: expected \"Replace\" before tokens become one text, got it behind: it "
     "is not "
     "supported."},
    {"DecoderOfTwoCharacters",
     [](Json& j) {
       j["decoder"] = {{"type", "Strip"}, {"content", "ab"}, {"start", 1}, {"stop", 0}};
     },
     "decoder.content: expected one character, got \"ab\"."},
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
    expect_contains(error, ": expected JSON to its end");
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
  json["padding"] = {{"direction", "Right"}};
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
