/// Bodies answered by an engine: what the parts make together.

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "loopbank/serve/api/completion_answer.h"
#include "tests/serve/small_served_model.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;
using testing::small_served_model;

struct Answered {
  Json whole{};                ///< of a stream: null
  std::vector<Json> events{};  ///< of a stream, without [DONE]
};

Answered answer_by_engine(const std::string& text, const ServedModel& served) {
  const auto body = parse_completion_body(text, served);
  CompletionAnswer answer(body, served, "cmpl-1", 7);
  Generator generator(served.model, served.tokenizer);
  std::map<RequestId, size_t> prompts;
  std::string events;
  auto requests = requests_of(body, served);
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto id = generator.add(std::move(requests[i]), body.options.stop,
                                  [&, i](const Generation& so_far, std::string_view piece) {
                                    events += answer.on_token(i, so_far, piece);
                                    return true;
                                  });
    prompts[id] = i;
  }
  while (!generator.idle()) {
    for (auto& generation : generator.step()) {
      const auto prompt = prompts.at(generation.request);
      events += answer.on_finished(prompt, std::move(generation));
    }
  }
  if (!body.stream) {
    return {.whole = Json::parse(answer.whole()), .events = {}};
  }
  Answered answered;
  while (!events.empty()) {
    const auto end = events.find("\n\n");
    answered.events.push_back(Json::parse(events.substr(6, end - 6)));
    events.erase(0, end + 2);
  }
  return answered;
}

Json choice_of(const std::string& text, const ServedModel& served = small_served_model()) {
  return answer_by_engine(text, served).whole["choices"][0];
}

TEST(EngineAnswers, EchoWithLogprobsTellsEachTokenOfThePrompt) {
  const std::string prompt =
      R"("prompt": "once upon", "echo": true, "logprobs": 3, "temperature": 0)";
  const auto none = choice_of("{" + prompt + R"(, "max_tokens": 0})")["logprobs"];
  const auto one = choice_of("{" + prompt + R"(, "max_tokens": 1})")["logprobs"];
  for (const auto* key : {"tokens", "token_logprobs", "top_logprobs", "text_offset"}) {
    ASSERT_EQ(none[key].size(), 9U) << key;
    ASSERT_EQ(one[key].size(), 10U) << key;
    for (size_t i = 0; i < 9; ++i) {
      EXPECT_EQ(none[key][i], one[key][i]) << key;
    }
  }
  EXPECT_TRUE(one["token_logprobs"][0].is_null() && one["top_logprobs"][0].is_null());
  for (size_t i = 1; i < 10; ++i) {
    const auto& top = one["top_logprobs"][i];
    EXPECT_TRUE(top.size() == 3U || top.size() == 4U);
    EXPECT_EQ(top[one["tokens"][i].get<std::string>()], one["token_logprobs"][i]);
  }
}

TEST(EngineAnswers, APromptThatFillsTheContextHasAnEntryForTheTokenBehindItToo) {
  const std::string prompt(64, 'a');
  const auto logprobs = choice_of("{\"prompt\": \"" + prompt +
                                  "\", \"echo\": true, \"logprobs\": 1, \"max_tokens\": 1}");
  EXPECT_EQ(logprobs["logprobs"]["tokens"].size(), 65U);
  EXPECT_EQ(logprobs["finish_reason"], "length");
}

TEST(EngineAnswers, TheTokenThatEndsTheTextHasAnEntryToo) {
  // Behind every token the end of the text is all but certain.
  auto table = at::full({testing::kByteVocabulary, testing::kByteVocabulary}, 0.0);
  table[256].fill_(50.0);
  const auto model = testing::bigram_model(table, testing::bigram_config());
  const auto base = small_served_model();
  const ServedModel served{.model = model, .tokenizer = base.tokenizer, .id = "small"};
  const std::string body = R"("prompt": "ab", "echo": true, "logprobs": 0, "loops": "tokens",
                              "temperature": 0, "max_tokens": 1)";
  const auto answered = answer_by_engine("{" + body + "}", served);
  const auto& choice = answered.whole["choices"][0];
  EXPECT_EQ(choice["text"], "ab");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["logprobs"]["tokens"], (Json{"a", "b", "<|endoftext|>"}));
  EXPECT_EQ(choice["logprobs"]["text_offset"], (Json{0, 1, 2}));
  EXPECT_NEAR(choice["logprobs"]["token_logprobs"][2].get<double>(), 0.0, 1e-6);
  EXPECT_EQ(choice["loops"]["tokens"].size(), 3U);
  EXPECT_EQ(answered.whole["usage"]["completion_tokens"], 1);
  const auto events = answer_by_engine("{\"stream\": true, " + body + "}", served).events;
  EXPECT_EQ(events.back()["choices"][0]["logprobs"]["tokens"], Json::array({"<|endoftext|>"}));
}

TEST(EngineAnswers, AStreamPutTogetherIsTheWholeAnswer) {
  // A random model writes bytes that are hardly ever characters.
  const std::string body = R"("prompt": [[97, 98], [195], []], "n": 2, "echo": true, "logprobs": 2,
      "loops": "tokens", "inside": true, "seed": 3, "max_tokens": 24, "exit": "cdf:0.7")";
  const auto served = small_served_model();
  const auto whole = answer_by_engine("{" + body + "}", served).whole["choices"];
  ASSERT_EQ(whole.size(), 6U);
  std::vector<Json> put_together(6, Json::object());
  const auto append = [](Json& list, const Json& more) {
    list = list.is_null() ? Json::array() : list;
    list.insert(list.end(), more.begin(), more.end());
  };
  for (const auto& event : answer_by_engine("{\"stream\": true, " + body + "}", served).events) {
    const auto& choice = event["choices"][0];
    auto& sum = put_together.at(choice["index"].get<size_t>());
    sum["text"] = sum.value("text", "") + choice["text"].get<std::string>();
    sum["index"] = choice["index"];
    if (choice.contains("inside")) {
      append(sum["inside"], choice["inside"]);
      append(sum["loops"]["tokens"], choice["loops"]["tokens"]);
      for (const auto& [key, list] : choice["logprobs"].items()) {
        append(sum["logprobs"][key], list);
      }
    }
    if (!choice["finish_reason"].is_null()) {
      sum["loops"]["mean"] = choice["loops"]["mean"];
      sum["finish_reason"] = choice["finish_reason"];
      sum["stop_reason"] = choice["stop_reason"];
    }
  }
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(put_together[i], whole[i]);
  }
  EXPECT_EQ(whole[0]["logprobs"]["tokens"].size(), whole[0]["loops"]["tokens"].size());
}

TEST(EngineAnswers, TheSameSeedGivesTheSameTextAndCompletionsDiffer) {
  const std::string body = R"({"prompt": "ab", "n": 2, "seed": 3, "max_tokens": 12})";
  const auto served = small_served_model();
  const auto first = answer_by_engine(body, served).whole["choices"];
  EXPECT_EQ(first, answer_by_engine(body, served).whole["choices"]);
  EXPECT_NE(first[0]["text"], first[1]["text"]);
}

TEST(EngineAnswers, TheLargestAndSmallestValuesThatAreTakenGiveAnAnswer) {
  for (const auto* field :
       {R"("temperature": 5e-324)", R"("temperature": 1.7e308)", R"("repetition_penalty": 5e-324)",
        R"("repetition_penalty": 1.7e308)", R"("top_p": 5e-324)", R"("min_p": 1)",
        R"("top_k": 2147483647)", R"("logit_bias": {"0": 100, "1": -100}, "temperature": 1e-9)",
        R"("seed": 9223372036854775807, "max_tokens": 9223372036854775807)",
        R"("logprobs": 1000)"}) {
    const auto choice =
        choice_of(std::string(R"({"prompt": "aba", "stop": "\u0000", )") + field + "}");
    EXPECT_TRUE(choice["text"].is_string()) << field;
  }
}

}  // namespace
}  // namespace loopbank
