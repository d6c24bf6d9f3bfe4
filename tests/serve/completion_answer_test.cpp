#include "loopbank/serve/api/completion_answer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "loopbank/serve/api/answer_json.h"
#include "tests/serve/small_served_model.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;
using testing::small_served_model;

/// A completion of "ab" that writes these bytes, a token each, with two alternatives.
Generation generation_of(const std::string& bytes, StopReason reason,
                         const std::vector<std::string>& stop = {}) {
  Generation generation;
  TextStream text(stop);
  for (const char byte : bytes) {
    const auto token = static_cast<TokenId>(static_cast<unsigned char>(byte));
    generation.tokens.push_back(token);
    generation.log_probabilities.push_back(-1.5);
    generation.top.push_back({{'x', -0.5}, {'y', -1.0}});
    generation.loops.push_back(2.0);
    generation.text += text.push({&byte, 1});
    auto inside = std::make_shared<TokenInside>();
    inside->loops = {1.5, 1.0};
    inside->halting = {{0.123456, 0.876544}, {1.0}};
    inside->reads = {{.layer = 0, .global = true, .gate = 0.25, .top = {{3, 0.77777}}}};
    generation.inside.push_back(inside);
  }
  generation.text += text.finish();
  generation.text_offsets = text.offsets();
  generation.stop_string = text.stop_string();
  generation.prompt = std::make_shared<const std::vector<TokenId>>(std::vector<TokenId>{'a', 'b'});
  generation.prompt_scores =
      std::make_shared<const std::vector<ScoredToken>>(std::vector<ScoredToken>{
          {.place = 1, .log_probability = -2.5, .loops = 3.0, .top = {{'b', -2.5}}}});
  generation.prompt_tokens = 2;
  generation.stop_reason = reason;
  generation.mean_loops = 2.5;
  return generation;
}

Json whole(const std::string& body, Generation generation) {
  const auto served = small_served_model();
  CompletionAnswer answer(parse_completion_body(body, served), served, "cmpl-1", 7);
  EXPECT_EQ(answer.on_token(0, generation, ""), "");
  EXPECT_EQ(answer.on_finished(0, std::move(generation)), "");
  return Json::parse(answer.whole());
}

/// The answer as the engine would tell it: token by token.
std::vector<Json> streamed(CompletionAnswer& answer, const Generation& generation,
                           const std::vector<std::string>& stop = {}) {
  auto so_far = generation;
  so_far.text.clear();
  so_far.tokens.clear();
  so_far.text_offsets.clear();
  TextStream text(stop);
  auto events = answer.on_token(0, so_far, "");
  for (const auto token : generation.tokens) {
    so_far.tokens.push_back(token);
    const auto byte = static_cast<char>(token);
    const auto piece = text.push({&byte, 1});
    so_far.text += piece;
    events += answer.on_token(0, so_far, piece);
  }
  events += answer.on_finished(0, generation) + answer.end_of_stream();
  std::vector<Json> parsed;
  while (!events.empty()) {
    const auto end = events.find("\n\n");
    EXPECT_TRUE(events.starts_with("data: "));
    const auto data = events.substr(6, end - 6);
    parsed.push_back(data == "[DONE]" ? Json(data) : Json::parse(data));
    events.erase(0, end + 2);
  }
  return parsed;
}

TEST(CompletionAnswer, WholeHasTheKeysOfOpenAi) {
  const auto json = whole(R"({"prompt": "ab"})", generation_of("cd", StopReason::kMaxTokens));
  EXPECT_EQ(json, (Json{{"id", "cmpl-1"},
                        {"object", "text_completion"},
                        {"created", 7},
                        {"model", "small"},
                        {"choices",
                         {{{"index", 0},
                           {"text", "cd"},
                           {"logprobs", nullptr},
                           {"finish_reason", "length"},
                           {"stop_reason", nullptr},
                           {"loops", {{"mean", 2.5}}}}}},
                        {"usage",
                         {{"prompt_tokens", 2},
                          {"completion_tokens", 2},
                          {"total_tokens", 4},
                          {"loops_mean", 2.5}}}}));
}

TEST(CompletionAnswer, EchoWithLogprobsHasAnEntryForEachTokenTheFirstNull) {
  const auto one = whole(R"({"prompt": "ab", "echo": true, "logprobs": 1, "max_tokens": 1})",
                         generation_of("c", StopReason::kMaxTokens));
  const auto& choice = one["choices"][0];
  EXPECT_EQ(choice["text"], "abc");
  EXPECT_EQ(choice["logprobs"]["tokens"], (Json{"a", "b", "c"}));
  EXPECT_EQ(choice["logprobs"]["token_logprobs"], (Json{nullptr, -2.5, -1.5}));
  EXPECT_EQ(choice["logprobs"]["top_logprobs"],
            (Json{nullptr, {{"b", -2.5}}, {{"x", -0.5}, {"y", -1.0}, {"c", -1.5}}}));
  EXPECT_EQ(choice["logprobs"]["text_offset"], (Json{0, 1, 2}));
  const auto none = whole(R"({"prompt": "ab", "echo": true, "logprobs": 1, "max_tokens": 0})",
                          generation_of("", StopReason::kMaxTokens));
  EXPECT_EQ(none["choices"][0]["logprobs"]["token_logprobs"], (Json{nullptr, -2.5}));
  EXPECT_EQ(none["choices"][0]["text"], "ab");
}

TEST(CompletionAnswer, AnEmptyPromptIsReadAsTheEndOfTextAndEchoesNothing) {
  auto generation = generation_of("c", StopReason::kMaxTokens);
  generation.prompt = std::make_shared<const std::vector<TokenId>>(std::vector<TokenId>{256});
  generation.prompt_scores = std::make_shared<const std::vector<ScoredToken>>();
  const auto json = whole(R"({"prompt": "", "echo": true, "logprobs": 0})", std::move(generation));
  EXPECT_EQ(json["choices"][0]["text"], "c");
  EXPECT_EQ(json["choices"][0]["logprobs"]["tokens"], (Json{"<|endoftext|>", "c"}));
  EXPECT_EQ(json["choices"][0]["logprobs"]["text_offset"], (Json{0, 0}));
}

TEST(CompletionAnswer, PartsOfACharacterStandAsBytes) {
  const auto json = whole(R"({"prompt": "ab", "logprobs": 2})",
                          generation_of("\xE2\x82\xAC!", StopReason::kEndOfText));
  const auto& choice = json["choices"][0];
  EXPECT_EQ(choice["text"], "\xE2\x82\xAC!");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["logprobs"]["tokens"], (Json{"bytes:\\xe2", "bytes:\\x82", "bytes:\\xac", "!"}));
  EXPECT_EQ(choice["logprobs"]["text_offset"], (Json{0, 0, 0, 1}));
}

TEST(CompletionAnswer, TellsTheStopStringThatEndedTheText) {
  const auto json = whole(R"({"prompt": "ab", "stop": ["zz", "\n\n"]})",
                          generation_of("c\n\n", StopReason::kStopString, {"zz", "\n\n"}));
  EXPECT_EQ(json["choices"][0]["text"], "c");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(json["choices"][0]["stop_reason"], "\n\n");
}

TEST(CompletionAnswer, NoInfinityAndNoOverwrittenAlternative) {
  // A second token of the same text, as special tokens and words may be.
  auto generation = generation_of("c", StopReason::kMaxTokens);
  generation.log_probabilities = {-std::numeric_limits<double>::infinity()};
  generation.top = {{{'x', -0.5}, {'x', -0.75}}};
  const auto json = whole(R"({"prompt": "ab", "logprobs": 2})", std::move(generation));
  const auto& logprobs = json["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["token_logprobs"], Json::array({-9999.0}));
  EXPECT_EQ(logprobs["top_logprobs"][0],
            (Json{{"x", -0.5}, {"token_id:120", -0.75}, {"c", -9999.0}}));
}

TEST(CompletionAnswer, TellsLoopsAndInsideByTokenBehindThePrompts) {
  const auto json = whole(R"({"prompt": "ab", "echo": true, "loops": "tokens", "inside": true})",
                          generation_of("c", StopReason::kMaxTokens));
  const auto& choice = json["choices"][0];
  EXPECT_EQ(choice["loops"], (Json{{"mean", 2.5}, {"tokens", {nullptr, 3.0, 2.0}}}));
  ASSERT_EQ(choice["inside"].size(), 3U);
  EXPECT_TRUE(choice["inside"][0].is_null());
  EXPECT_EQ(choice["inside"][2], (Json{{"loops", {1.5, 1.0}},
                                       {"halting", {{0.1235, 0.8765}, {1.0}}},
                                       {"reads",
                                        {{{"layer", 0},
                                          {"bank", "global"},
                                          {"gate", 0.25},
                                          {"top", {Json::array({3, 0.7778})}}}}}}));
}

TEST(CompletionAnswer, ChoicesStandPromptByPromptAndCountInTheUsage) {
  const auto served = small_served_model();
  CompletionAnswer answer(parse_completion_body(R"({"prompt": ["ab", "ab"], "n": 2})", served),
                          served, "cmpl-1", 7);
  for (const auto& [prompt, completion, text] :
       {std::tuple(1U, 1, "d"), std::tuple(0U, 1, "b"), std::tuple(0U, 0, "a"),
        std::tuple(1U, 0, "ccccccc")}) {
    auto generation = generation_of(text, StopReason::kMaxTokens);
    generation.completion = completion;
    generation.mean_loops = std::string(text) == "ccccccc" ? 2.0 : 1.0;
    (void)answer.on_finished(prompt, std::move(generation));
  }
  const auto json = Json::parse(answer.whole());
  std::string texts;
  for (size_t i = 0; i < json["choices"].size(); ++i) {
    EXPECT_EQ(json["choices"][i]["index"], i);
    texts += json["choices"][i]["text"].get<std::string>() + " ";
  }
  EXPECT_EQ(texts, "a b ccccccc d ");
  EXPECT_EQ(json["usage"]["prompt_tokens"], 4);
  EXPECT_EQ(json["usage"]["completion_tokens"], 10);
  EXPECT_EQ(json["usage"]["loops_mean"], (3 * 3 * 1.0 + 9 * 2.0) / 18);
}

TEST(CompletionAnswer, AStreamHasAnEventATokenAnEndAndDone) {
  const auto served = small_served_model();
  CompletionAnswer answer(
      parse_completion_body(
          R"({"prompt": "ab", "stream": true, "stream_options": {"include_usage": true}})", served),
      served, "cmpl-1", 7);
  const auto events = streamed(answer, generation_of("c\xE2\x82\xAC", StopReason::kMaxTokens));
  ASSERT_EQ(events.size(), 7U);
  std::string text;
  for (size_t i = 0; i < 5; ++i) {
    text += events[i]["choices"][0]["text"].get<std::string>() + "|";
    EXPECT_TRUE(events[i]["usage"].is_null());
    EXPECT_EQ(events[i]["choices"][0]["finish_reason"], i < 4 ? Json() : Json("length"));
  }
  EXPECT_EQ(text, "c|||\xE2\x82\xAC||");
  EXPECT_EQ(events[4]["choices"][0]["loops"], (Json{{"mean", 2.5}}));
  EXPECT_EQ(events[5]["choices"], Json::array());
  EXPECT_EQ(events[5]["usage"]["total_tokens"], 6);
  EXPECT_EQ(events[6], "[DONE]");
}

TEST(CompletionAnswer, AStreamPutTogetherIsTheWholeAnswer) {
  // Whole characters, broken ones in the middle and at the end.
  for (const std::string bytes :
       {"cd", "c\xE2\x82\xAC!", "c\xE2\x82!", "\xE2\x82\xE2\x82", "\xFF\x80z", ""}) {
    const std::string fields =
        R"("prompt": "ab", "echo": true, "logprobs": 2, "loops": "tokens", "inside": true})";
    const auto generation = generation_of(bytes, StopReason::kMaxTokens);
    const auto expected = whole("{" + fields, generation)["choices"][0];
    const auto served = small_served_model();
    CompletionAnswer answer(parse_completion_body("{\"stream\": true, " + fields, served), served,
                            "cmpl-1", 7);
    Json sum = {{"text", ""}, {"loops", {{"tokens", Json::array()}}}, {"inside", Json::array()}};
    const auto append = [](Json& list, const Json& more) {
      list = list.is_null() ? Json::array() : list;
      list.insert(list.end(), more.begin(), more.end());
    };
    for (const auto& event : streamed(answer, generation)) {
      if (event.is_string()) {
        continue;
      }
      const auto& choice = event["choices"][0];
      sum["text"] = sum["text"].get<std::string>() + choice["text"].get<std::string>();
      if (choice.contains("inside")) {
        append(sum["loops"]["tokens"], choice["loops"]["tokens"]);
        append(sum["inside"], choice["inside"]);
        for (const auto& [key, list] : choice["logprobs"].items()) {
          append(sum["logprobs"][key], list);
        }
      }
      if (!choice["finish_reason"].is_null()) {
        sum["loops"]["mean"] = choice["loops"]["mean"];
        sum["finish_reason"] = choice["finish_reason"];
        sum["stop_reason"] = choice["stop_reason"];
      }
      sum["index"] = choice["index"];
    }
    EXPECT_EQ(sum, expected) << bytes;
  }
}

TEST(CompletionAnswer, AStreamHoldsBackWhatMayBecomeAStopString) {
  const auto served = small_served_model();
  CompletionAnswer answer(
      parse_completion_body(R"({"prompt": "ab", "stream": true, "stop": "xyz"})", served), served,
      "cmpl-1", 7);
  const auto events =
      streamed(answer, generation_of("cxy", StopReason::kMaxTokens, {"xyz"}), {"xyz"});
  ASSERT_EQ(events.size(), 5U);
  EXPECT_EQ(events[1]["choices"][0]["text"], "");
  EXPECT_EQ(events[3]["choices"][0]["text"], "xy");
}

ServedModel with_chat() {
  auto served = small_served_model();
  served.chat = ChatTemplate{.user = "{content}", .answer = "", .stop = {"#"}};
  return served;
}

TEST(ChatAnswer, WholeHasAMessageAndItsLogprobs) {
  const auto served = with_chat();
  CompletionAnswer answer(
      parse_chat_body(R"({"messages": [{"role": "user", "content": "ab"}], "logprobs": true,
                          "top_logprobs": 2})",
                      served),
      served, "chatcmpl-1", 7);
  (void)answer.on_finished(0, generation_of("\xC3#", StopReason::kStopString, {"#"}));
  const auto json = Json::parse(answer.whole());
  EXPECT_EQ(json["object"], "chat.completion");
  const auto& choice = json["choices"][0];
  EXPECT_EQ(choice["message"], (Json{{"role", "assistant"}, {"content", "\xEF\xBF\xBD"}}));
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["stop_reason"], "#");
  EXPECT_EQ(choice["logprobs"]["content"][0],
            (Json{{"token", "bytes:\\xc3"},
                  {"logprob", -1.5},
                  {"bytes", {0xC3}},
                  {"top_logprobs",
                   {{{"token", "x"}, {"logprob", -0.5}, {"bytes", {'x'}}},
                    {{"token", "y"}, {"logprob", -1.0}, {"bytes", {'y'}}}}}}));
}

TEST(ChatAnswer, AStreamBeginsWithTheRole) {
  const auto served = with_chat();
  CompletionAnswer answer(
      parse_chat_body(R"({"messages": [{"role": "user", "content": "ab"}], "stream": true})",
                      served),
      served, "chatcmpl-1", 7);
  const auto events = streamed(answer, generation_of("c", StopReason::kMaxTokens));
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0]["object"], "chat.completion.chunk");
  EXPECT_EQ(events[0]["choices"][0]["delta"], (Json{{"role", "assistant"}, {"content", ""}}));
  EXPECT_EQ(events[1]["choices"][0]["delta"], (Json{{"content", "c"}}));
  EXPECT_EQ(events[2]["choices"][0]["delta"], Json::object());
  EXPECT_EQ(events[2]["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(events[3], "[DONE]");
}

}  // namespace
}  // namespace loopbank
