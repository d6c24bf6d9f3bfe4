/// tokenizer_config.json and special_tokens_map.json: what begins and ends a text.

#include "loopbank/tokenize/tokenizer_config.h"

#include <gtest/gtest.h>

#include "tests/support/test_directory.h"
#include "tests/tokenize/small_tokenizer.h"

namespace loopbank {
namespace {

using testing::added_token;
using testing::content_of;
using testing::error_of;
using testing::Json;
using testing::small_tokenizer;
using testing::TestDirectory;
using Ids = std::vector<TokenId>;

/// Ids: 256 <|endoftext|>, 257 <s>, 258 </s>; framed by <s> alone.
Json framed_tokenizer() {
  auto json = small_tokenizer({});
  json["added_tokens"].push_back(added_token(257, "<s>"));
  json["added_tokens"].push_back(added_token(258, "</s>"));
  json["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
      {"special_tokens", {{"<s>", {{"ids", {257}}}}}}};
  return json;
}

Tokenizer load_with(const TestDirectory& directory, const Json& json, const Json& config) {
  directory.write("tokenizer_config.json", config.dump());
  return Tokenizer::load(directory.write("tokenizer.json", json.dump()));
}

TEST(TokenizerConfig, TokensAreTextsOrObjects) {
  const auto config = parse_tokenizer_config(
      R"({"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>", "pad_token": null,
          "add_bos_token": true, "model_max_length": 4096, "tokenizer_class": "LlamaTokenizer"})",
      "a.json");
  EXPECT_EQ(config.bos, "<s>");
  EXPECT_EQ(config.eos, "</s>");
  EXPECT_FALSE(config.pad);
  EXPECT_FALSE(config.unk);
  EXPECT_EQ(config.add_bos, true);
  EXPECT_FALSE(config.add_eos);
  EXPECT_EQ(config.max_tokens, 4096);
  EXPECT_FALSE(
      parse_tokenizer_config(R"({"model_max_length": 1000000000000000019884624838656})", "a.json")
          .max_tokens);
}

TEST(TokenizerConfig, TheMapAddsWhatTheConfigDoesNotName) {
  auto config = parse_tokenizer_config(R"({"eos_token": "a"})", "a.json");
  add_special_tokens_map(R"({"eos_token": "b", "pad_token": {"content": "c"}})", "b.json", config);
  EXPECT_EQ(config.eos, "a");
  EXPECT_EQ(config.pad, "c");
}

TEST(TokenizerConfig, FaultsAreToldWithTheFileAndThePart) {
  const auto error = [](const char* text) {
    return error_of(ErrorCode::kData, [&] { (void)parse_tokenizer_config(text, "c.json"); });
  };
  EXPECT_EQ(error("[]"), "c.json: top level: expected an object, got [].");
  EXPECT_EQ(error(R"({"eos_token": 3})"), "c.json: eos_token: expected a string, got 3.");
  EXPECT_EQ(error(R"({"bos_token": {"id": 3}})"),
            "c.json: bos_token: expected the key \"content\", got none of that name.");
  EXPECT_EQ(error(R"({"add_bos_token": "yes"})"),
            "c.json: add_bos_token: expected true or false, got \"yes\".");
  EXPECT_EQ(error(R"({"model_max_length": "no"})"),
            "c.json: model_max_length: expected a number of tokens, got \"no\".");
}

TEST(TokenizerConfig, ThePostProcessorSaysWhatStandsAroundAText) {
  const TestDirectory directory;
  const auto tokenizer = load_with(directory, framed_tokenizer(), Json::object());
  EXPECT_EQ(tokenizer.encode("a"), (Ids{97}));
  EXPECT_EQ(tokenizer.encode_prompt("a"), (Ids{257, 97}));
  EXPECT_EQ(tokenizer.encode_framed("<s>", true), (Ids{257, 257}));
  EXPECT_TRUE(Tokenizer::bytes().text_prefix().empty());
}

TEST(TokenizerConfig, ItsFlagsOverruleThePostProcessor) {
  const TestDirectory directory;
  const auto framed = [&](const Json& config) {
    return load_with(directory, framed_tokenizer(), config).encode_framed("a");
  };
  EXPECT_EQ(framed({{"bos_token", "<s>"}, {"add_bos_token", true}}), (Ids{257, 97}));
  EXPECT_EQ(framed({{"bos_token", "<s>"}, {"add_bos_token", false}}), (Ids{97}));
  EXPECT_EQ(framed({{"bos_token", "</s>"}, {"add_bos_token", false}}), (Ids{257, 97}));
  EXPECT_EQ(framed({{"bos_token", "</s>"}, {"add_bos_token", true}}), (Ids{258, 257, 97}));
  EXPECT_EQ(framed({{"eos_token", "</s>"}, {"add_eos_token", true}}), (Ids{257, 97, 258}));
  EXPECT_EQ(error_of(ErrorCode::kData,
                     [&] {
                       framed({{"add_bos_token", true}});
                     }),
            (directory.path() / "tokenizer.json").string() +
                ": tokenizer_config.json: expected bos_token among the tokens, got none.");
  EXPECT_EQ(
      error_of(ErrorCode::kData,
               [&] {
                 framed({{"eos_token", "<end>"}, {"add_eos_token", true}});
               }),
      (directory.path() / "tokenizer.json").string() +
          ": tokenizer_config.json: expected eos_token among the tokens, got \"<end>\", which "
          "is none of them.");
}

TEST(TokenizerConfig, ItsEosTokenEndsDocumentsWhateverTheNames) {
  const TestDirectory directory;
  const auto json = framed_tokenizer();
  EXPECT_EQ(load_with(directory, json, {{"eos_token", "</s>"}}).end_of_text(), 258);
  EXPECT_EQ(load_with(directory, json, {{"eos_token", "!"}}).end_of_text(), '!');
  EXPECT_EQ(load_with(directory, json, Json::object()).end_of_text(), 256);
  directory.write("special_tokens_map.json", R"({"eos_token": "<s>"})");
  const auto tokenizer = load_with(directory, json, {{"pad_token", "</s>"}, {"unk_token", "?!"}});
  EXPECT_EQ(tokenizer.end_of_text(), 257);
  EXPECT_EQ(tokenizer.special_ids().eos, 257);
  EXPECT_EQ(tokenizer.special_ids().pad, 258);
  EXPECT_FALSE(tokenizer.special_ids().bos);
  EXPECT_FALSE(tokenizer.special_ids().unk) << "the vocabulary does not hold it";
}

TEST(TokenizerConfig, AnEosTokenThatIsNoneIsToldWhereItIsNeeded) {
  const TestDirectory directory;
  const auto tokenizer = load_with(directory, framed_tokenizer(), {{"eos_token", "<end>"}});
  EXPECT_EQ(
      error_of(ErrorCode::kData, [&] { (void)tokenizer.end_of_text(); }),
      "tokenizer_config.json: expected eos_token among the tokens, got \"<end>\", which is none "
      "of them.");
}

TEST(TokenizerConfig, AFileOfAnotherNameHasNone) {
  const TestDirectory directory;
  directory.write("tokenizer_config.json", R"({"eos_token": "</s>"})");
  const auto path = directory.write("other.json", framed_tokenizer().dump());
  EXPECT_EQ(Tokenizer::load(path).end_of_text(), 256);
}

TEST(TokenizerConfig, SavingWritesEveryFileAsItWasRead) {
  const TestDirectory directory;
  auto json = framed_tokenizer();
  json["truncation"] = {{"max_length", 512}};
  directory.write("special_tokens_map.json", R"( {"pad_token": "</s>"} )");
  const auto tokenizer = load_with(directory, json, {{"eos_token", "</s>"}, {"unknown key", 1}});
  const TestDirectory copy;
  tokenizer.save(copy.path() / "tokenizer.json");
  EXPECT_EQ(copy.names(), directory.names());
  EXPECT_EQ(copy.names().size(), 3U);
  for (const auto& name : copy.names()) {
    EXPECT_EQ(content_of(copy.path() / name), content_of(directory.path() / name)) << name;
  }
  EXPECT_EQ(Tokenizer::load(copy.path()).hash(), tokenizer.hash());
}

TEST(TokenizerConfig, TheHashTellsFramesAndEndsApart) {
  const TestDirectory directory;
  const auto hash = [&](const Json& config) {
    return load_with(directory, framed_tokenizer(), config).hash();
  };
  const auto plain = hash(Json::object());
  EXPECT_EQ(hash({{"bos_token", "<s>"}, {"eos_token", "<|endoftext|>"}}), plain);
  EXPECT_NE(hash({{"bos_token", "<s>"}, {"add_bos_token", false}}), plain);
  EXPECT_NE(hash({{"eos_token", "</s>"}}), plain);
}

}  // namespace
}  // namespace loopbank
