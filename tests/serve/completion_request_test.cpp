#include "loopbank/serve/api/completion_request.h"

#include <gtest/gtest.h>

#include "tests/serve/small_served_model.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::api_error_of_action;
using testing::expect_contains;
using testing::small_served_model;

CompletionBody parsed(std::string_view body) {
  return parse_completion_body(body, small_served_model());
}

/// Expects a body to be refused.
void expect_refused(std::string_view body, int status, const std::string& param,
                    const std::string& code, const std::string& message) {
  const auto error = api_error_of_action([&] {
    const auto served = small_served_model();
    (void)requests_of(parse_completion_body(body, served), served);
  });
  EXPECT_EQ(error.status(), status) << body << ": " << error.what();
  EXPECT_EQ(error.param(), param) << body;
  EXPECT_EQ(error.code(), code) << body;
  expect_contains(error.what(), message);
}

TEST(CompletionRequest, HasOpenAisDefaults) {
  const auto body = parsed(R"({"prompt": "a"})");
  ASSERT_EQ(body.prompts.size(), 1U);
  EXPECT_EQ(std::get<std::string>(body.prompts[0]), "a");
  EXPECT_EQ(body.options.max_tokens, 16);
  EXPECT_EQ(body.options.sampling.temperature, 1.0);
  EXPECT_EQ(body.options.sampling.top_p, 1.0);
  EXPECT_EQ(body.n, 1);
  EXPECT_FALSE(body.stream || body.echo || body.tells_logprobs || body.include_usage ||
               body.loops_by_token || body.inside);
  EXPECT_EQ(body.options.inference.exit, "all");
}

TEST(CompletionRequest, WhatItDoesNotSayIsTheServers) {
  auto served = small_served_model();
  served.inference.exit = "cdf:0.5";
  EXPECT_EQ(parse_completion_body(R"({"prompt": "a"})", served).options.inference.exit, "cdf:0.5");
  EXPECT_EQ(
      parse_completion_body(R"({"prompt": "a", "exit": "all"})", served).options.inference.exit,
      "all");
}

TEST(CompletionRequest, TakesEveryField) {
  const auto body = parsed(R"({"model": "small", "prompt": "a", "max_tokens": 0, "temperature": 0.5,
      "top_p": 0.5, "top_k": 3, "min_p": 0.1, "seed": 7, "n": 2, "stop": "x", "logprobs": 0,
      "echo": true, "logit_bias": {"65": -100}, "presence_penalty": 1, "frequency_penalty": -1,
      "repetition_penalty": 1.5, "stream": true, "stream_options": {"include_usage": true},
      "user": "u", "exit": "cdf:0.9", "kv": "last", "kv_prefill": true, "max_loops": 2,
      "draft": "lookup", "loops": "tokens", "inside": true, "best_of": 2, "suffix": null})");
  EXPECT_EQ(body.options.max_tokens, 0);
  EXPECT_EQ(body.options.sampling.top_k, 3);
  EXPECT_EQ(body.options.sampling.logit_bias, (NumberById{{65, -100.0}}));
  EXPECT_EQ(body.options.stop, std::vector<std::string>{"x"});
  EXPECT_EQ(body.options.seed, 7);
  EXPECT_EQ(body.options.inference.max_loops, 2);
  EXPECT_EQ(body.options.draft, "lookup");
  EXPECT_EQ(body.user, "u");
  EXPECT_EQ(body.n, 2);
  EXPECT_TRUE(body.stream && body.echo && body.tells_logprobs && body.include_usage &&
              body.loops_by_token && body.inside);
}

TEST(CompletionRequest, NullCountsAsAbsent) {
  const auto body = parsed(
      R"({"prompt": "a", "model": null, "max_tokens": null, "logprobs": null, "stop": null,
          "stream_options": null, "seed": null, "exit": null})");
  EXPECT_EQ(body.options.max_tokens, 16);
  EXPECT_FALSE(body.tells_logprobs);
  expect_refused(R"({"prompt": null})", 400, "prompt", "missing_field", "expected \"prompt\"");
}

TEST(CompletionRequest, WithoutASeedEachDrawsAnother) {
  const auto first = parsed(R"({"prompt": "a"})").options.seed;
  EXPECT_NE(first, parsed(R"({"prompt": "a"})").options.seed);
}

TEST(CompletionRequest, TakesPromptsInEachForm) {
  EXPECT_EQ(std::get<1>(parsed(R"({"prompt": [1, 256]})").prompts.at(0)),
            (std::vector<TokenId>{1, 256}));
  EXPECT_EQ(parsed(R"({"prompt": ["a", ""]})").prompts.size(), 2U);
  EXPECT_EQ(std::get<1>(parsed(R"({"prompt": [[1], []]})").prompts.at(1)), std::vector<TokenId>());
  expect_refused(R"({"prompt": []})", 400, "prompt", "invalid_value", "got an empty list");
  expect_refused(R"({"prompt": ["a", [1]]})", 400, "prompt", "invalid_value", "in the list");
  expect_refused(R"({"prompt": [true]})", 400, "prompt", "invalid_value", "got true in the list");
  expect_refused(R"({"prompt": [257]})", 400, "prompt", "invalid_value", "from 0 to 256, got 257");
  expect_refused(R"({"prompt": [-1]})", 400, "prompt", "invalid_value", "got -1");
  expect_refused(R"({"prompt": 1.5})", 400, "prompt", "invalid_value", "got 1.5");
}

TEST(CompletionRequest, WholeNumbersMayBeWrittenAsOthersAre) {
  EXPECT_EQ(parsed(R"({"prompt": "a", "max_tokens": 3.0})").options.max_tokens, 3);
  EXPECT_EQ(std::get<1>(parsed(R"({"prompt": [1.0, 2e2]})").prompts.at(0)),
            (std::vector<TokenId>{1, 200}));
  expect_refused(R"({"prompt": "a", "max_tokens": 3.5})", 400, "max_tokens", "invalid_value",
                 "3.5");
  expect_refused(R"({"prompt": "a", "max_tokens": 1e300})", 400, "max_tokens", "invalid_value", "");
  expect_refused(R"({"prompt": [1.5]})", 400, "prompt", "invalid_value", "got 1.5");
  expect_refused(R"({"prompt": [1e300]})", 400, "prompt", "invalid_value", "1e+300");
}

TEST(CompletionRequest, RefusesUnknownFieldsWithTheNearest) {
  expect_refused(R"({"prompt": "a", "max_token": 3})", 400, "max_token", "unknown_field",
                 "unknown field \"max_token\". Did you mean \"max_tokens\"?");
  expect_refused(R"({"prompt": "a", "stream": true, "stream_options": {"include_use": true}})", 400,
                 "stream_options.include_use", "unknown_field", "\"include_usage\"");
  expect_refused(R"({"prompt": "a", "\u0000\n": 3})", 400, std::string("\0\n", 2), "unknown_field",
                 R"(unknown field "\u0000\n". Known: prompt, )");
  const auto long_name = std::string(1 << 20, 'x');
  const auto error =
      api_error_of_action([&] { (void)parsed("{\"prompt\": \"a\", \"" + long_name + "\": 1}"); });
  EXPECT_EQ(error.code(), "unknown_field");
  EXPECT_LT(std::string(error.what()).size(), 1000U);
}

TEST(CompletionRequest, SaysWhichFieldsOfOpenAiAreNotDone) {
  expect_refused(R"({"prompt": "a", "suffix": "b"})", 400, "suffix", "unsupported_field",
                 "does not do");
  expect_refused(R"({"prompt": "a", "best_of": 2})", 400, "best_of", "unsupported_field",
                 "got 2. Leave it out.");
  EXPECT_EQ(parsed(R"({"prompt": "a", "best_of": 1})").n, 1);
}

TEST(CompletionRequest, RefusesValuesOutOfRangeByField) {
  expect_refused(R"({"prompt": "a", "n": 129})", 400, "n", "invalid_value", "from 1 to 128");
  expect_refused(R"({"prompt": "a", "top_p": 0})", 400, "top_p", "invalid_value", "got 0");
  expect_refused(R"({"prompt": "a", "max_tokens": -1})", 400, "max_tokens", "invalid_value", "-1");
  expect_refused(R"({"prompt": "a", "max_tokens": "1"})", 400, "max_tokens", "invalid_value", "");
  expect_refused(R"({"prompt": "a", "stop": ["a", ""]})", 400, "stop", "invalid_value", "empty");
  expect_refused(R"({"prompt": "a", "stop": ["1","2","3","4","5","6","7","8","9","a","b","c","d",
      "e","f","g","h"]})",
                 400, "stop", "invalid_value", "at most 16");
  expect_refused(R"({"prompt": "a", "logit_bias": {"257": 1}})", 400, "logit_bias", "invalid_value",
                 "ids from 0 to 256");
  expect_refused(R"({"prompt": "a", "exit": "soon"})", 400, "exit", "invalid_value", "soon");
  expect_refused(R"({"prompt": "a", "exit": "entropy:0.5"})", 400, "exit", "invalid_value", "head");
  expect_refused(R"({"prompt": "a", "exit": "a\u0000b"})", 400, "exit", "invalid_value",
                 R"(got "a\u0000b".)");
  expect_refused(R"({"prompt": "a", "kv": "none"})", 400, "kv", "invalid_value", "full");
  expect_refused(R"({"prompt": "a", "draft": "wild"})", 400, "draft", "invalid_value", "wild");
  expect_refused(R"({"prompt": "a", "loops": "all"})", 400, "loops", "invalid_value", "tokens");
  expect_refused(R"({"prompt": "a", "stream_options": 1})", 400, "stream_options", "invalid_value",
                 "a JSON object");
}

TEST(CompletionRequest, MoreLoopsThanTheModelHasAreNeverPossible) {
  expect_refused(R"({"prompt": "a", "max_loops": 4})", 422, "max_loops", "too_many_loops",
                 "from 1 to 3");
  expect_refused(R"({"prompt": "a", "exit": "budget:4"})", 422, "exit", "too_many_loops", "4");
  expect_refused(R"({"prompt": "a", "draft": "loops:4"})", 422, "draft", "too_many_loops", "4");
}

TEST(CompletionRequest, AnotherModelIsNotFound) {
  expect_refused(R"({"prompt": "a", "model": "gpt"})", 404, "model", "model_not_found",
                 "expected \"small\", the model that is served, got \"gpt\"");
}

TEST(CompletionRequest, RefusesWhatIsNoObjectOfJson) {
  for (const std::string body : {"", "[]", "{", "{\"prompt\": \"a\", \"prompt\": \"b\"}", "\xff",
                                 "{\"prompt\": \"\xff\"}"}) {
    expect_refused(body, 400, "", "invalid_json", "expected");
  }
  expect_refused(std::string(100000, '['), 400, "", "invalid_json", "");
}

TEST(CompletionRequest, RefusesWhatTheContextDoesNotHold) {
  const auto prompt = [](size_t tokens, const std::string& more) {
    return "{\"prompt\": \"" + std::string(tokens, 'a') + "\", " + more + "}";
  };
  const auto served = small_served_model();
  const auto requests = [&](const std::string& body) {
    return requests_of(parse_completion_body(body, served), served);
  };
  EXPECT_EQ(requests(prompt(64, "\"max_tokens\": 1")).at(0).prompt.size(), 64U);
  EXPECT_EQ(requests(prompt(65, "\"max_tokens\": 0")).at(0).prompt.size(), 65U);
  expect_refused(prompt(65, "\"max_tokens\": 1"), 400, "prompt", "context_length_exceeded",
                 "at most 64 tokens, the model's context, got 65");
  expect_refused(prompt(100000, "\"max_tokens\": 1"), 400, "prompt", "context_length_exceeded",
                 "got at least ");
  expect_refused(R"({"prompt": ["a", ")" + std::string(70, 'b') + "\"]}", 400, "prompt",
                 "context_length_exceeded", "prompt 1 of 2");
}

TEST(CompletionRequest, BoundsWhatOneAnswerHolds) {
  const std::string many(2100, 'a');
  std::string prompts;
  for (int i = 0; i < 2049; ++i) {
    prompts += i == 0 ? "\"a\"" : ",\"a\"";
  }
  expect_refused("{\"prompt\": [" + prompts + "]}", 400, "prompt", "invalid_value",
                 "at most 2048 prompts");
  prompts.resize(prompts.size() - 4);
  expect_refused("{\"prompt\": [" + prompts + "], \"n\": 3}", 400, "n", "invalid_value",
                 "at most 4096");
  expect_refused("{\"prompt\": [" + prompts + "], \"logprobs\": 1000}", 400, "logprobs",
                 "answer_too_long", "log probabilities");
  expect_refused("{\"prompt\": [" + prompts + "], \"inside\": true, \"n\": 2, \"max_tokens\": 64}",
                 400, "inside", "answer_too_long", "tokens");
}

TEST(CompletionRequest, BecomesTheEnginesRequests) {
  const auto served = small_served_model();
  const auto requests = requests_of(
      parse_completion_body(R"({"prompt": ["ab", ""], "n": 3, "echo": true, "logprobs": 2,
          "inside": true, "seed": 5, "max_tokens": 9000000000000000000})",
                            served),
      served);
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0].prompt, (std::vector<TokenId>{'a', 'b'}));
  EXPECT_EQ(requests[1].prompt, std::vector<TokenId>{256});
  EXPECT_EQ(requests[0].completions, 3);
  EXPECT_EQ(requests[0].score_from, 1);
  EXPECT_TRUE(requests[0].inside);
  EXPECT_EQ(requests[0].sampling.logprobs, 2);
  EXPECT_EQ(requests[0].seed, 5U);
  EXPECT_EQ(requests[0].max_tokens, 64);
  const auto plain =
      requests_of(parse_completion_body(R"({"prompt": "ab", "echo": true})", served), served);
  EXPECT_FALSE(plain[0].score_from.has_value());
}

}  // namespace
}  // namespace loopbank
