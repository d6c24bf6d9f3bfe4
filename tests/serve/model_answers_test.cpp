#include "loopbank/serve/api/model_answers.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/serve/small_served_model.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;
using testing::api_error_of_action;
using testing::expect_contains;
using testing::small_served_model;

TEST(ModelAnswers, TellOfTheModelWhatAClientMustKnow) {
  const auto served = small_served_model();
  const auto list = Json::parse(list_models(served));
  EXPECT_EQ(list["object"], "list");
  ASSERT_EQ(list["data"].size(), 1U);
  const auto& model = list["data"][0];
  EXPECT_EQ(model, Json::parse(describe_model("small", served)));
  EXPECT_EQ(model["id"], "small");
  EXPECT_EQ(model["max_model_len"], 64);
  EXPECT_EQ(model["layers"], (Json{3, 3}));
  EXPECT_EQ(model["kv"].size(), 6U);
  EXPECT_EQ(model["local_memory_slots"], 8);
  EXPECT_EQ(model["chat"], false);
  EXPECT_EQ(api_error_of_action([&] { (void)describe_model("other", served); }).status(), 404);
}

TEST(ModelAnswers, TokenizeGivesTheIdsOfCompletionsAndDetokenizeTheTextBack) {
  const auto served = small_served_model();
  EXPECT_EQ(Json::parse(tokenize(R"({"prompt": "h\u00e9", "add_special_tokens": false})", served)),
            (Json{{"tokens", {'h', 0xC3, 0xA9}}, {"count", 3}, {"max_model_len", 64}}));
  EXPECT_EQ(Json::parse(detokenize(R"({"tokens": [104, 195, 169, 256]})", served)),
            (Json{{"prompt", "h\xC3\xA9<|endoftext|>"}}));
  EXPECT_EQ(Json::parse(detokenize(R"({"tokens": [195]})", served))["prompt"], "\xEF\xBF\xBD");
  EXPECT_EQ(Json::parse(tokenize(R"({"prompt": ""})", served))["tokens"], Json::array());
}

TEST(ModelAnswers, ASpecialTokenIsItsId) {
  const auto served = small_served_model();
  EXPECT_EQ(Json::parse(tokenize(R"({"prompt": "<|endoftext|>"})", served))["tokens"],
            Json::array({256}));
  EXPECT_EQ(Json::parse(tokenize(R"({"prompt": "<|endoftext|> "})", served))["count"], 2);
}

TEST(ModelAnswers, RefuseWhatIsNoTextOrNoIds) {
  const auto served = small_served_model();
  for (const auto& [body, param] :
       {std::pair(R"({"prompt": 1})", "prompt"), std::pair(R"({})", "prompt"),
        std::pair(R"({"prompt": "a", "messages": []})", "messages"),
        std::pair(R"({"prompt": "a", "promt": 1})", "promt"),
        std::pair(R"({"prompt": "a", "add_special_tokens": 1})", "add_special_tokens")}) {
    const auto error = api_error_of_action([&, text = body] { (void)tokenize(text, served); });
    EXPECT_EQ(error.status(), 400) << body;
    EXPECT_EQ(error.param(), param);
  }
  for (const auto* body : {R"({"tokens": "a"})", R"({"tokens": [257]})", R"({"tokens": [-1]})"}) {
    const auto error = api_error_of_action([&] { (void)detokenize(body, served); });
    EXPECT_EQ(error.status(), 400) << body;
    EXPECT_EQ(error.param(), "tokens");
  }
  EXPECT_EQ(api_error_of_action([&] {
              (void)tokenize(R"({"prompt": "a", "model": "b"})", served);
            }).status(),
            404);
}

TEST(ModelAnswers, TokenizerInfoHasWhatLmEvalReads) {
  auto served = small_served_model();
  const auto json = Json::parse(tokenizer_info(served));
  EXPECT_EQ(json["eos_token"], "<|endoftext|>");
  EXPECT_TRUE(json["bos_token"].is_null());
  EXPECT_TRUE(json["chat_template"].is_null());
  served.chat = ChatTemplate{.user = "U: {content}\n"};
  expect_contains(Json::parse(tokenizer_info(served))["chat_template"].get<std::string>(),
                  R"({{ "U: " }}{{ message['content'] }}{{ "\n" }})");
}

}  // namespace
}  // namespace loopbank
