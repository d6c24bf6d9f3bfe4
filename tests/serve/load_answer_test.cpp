#include "loopbank/serve/load/load_answer.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::expect_contains;

constexpr const char* kLoadStream =
    "data: {\"choices\":[{\"index\":0,\"text\":\"a\",\"logprobs\":{\"token_logprobs\":[-0.5]},"
    "\"finish_reason\":null}],\"usage\":null}\n\n"
    "data: {\"choices\":[{\"index\":0,\"text\":\"\",\"logprobs\":{\"token_logprobs\":[-1.5]},"
    "\"finish_reason\":null}],\"usage\":null}\n\n"
    "data: {\"choices\":[{\"index\":0,\"text\":\"\\u00fcb\",\"logprobs\":null,"
    "\"finish_reason\":\"length\"}],\"usage\":null}\n\n"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,"
    "\"total_tokens\":5,\"loops_mean\":1.75}}\n\n"
    "data: [DONE]\n\n";

void expect_load_stream(const LoadAnswer& answer) {
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.text, "a\u00fcb");
  EXPECT_EQ(answer.log_probabilities, (std::vector<double>{-0.5, -1.5}));
  EXPECT_EQ(answer.finish_reason, "length");
  EXPECT_EQ(answer.token_times.size(), 2U);
  EXPECT_EQ(answer.completion_tokens, 2);
  EXPECT_DOUBLE_EQ(answer.loops_mean, 1.75);
}

TEST(LoadAnswer, AStreamThatComesInTwoPiecesCutAnywhere) {
  const std::string stream = kLoadStream;
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    LoadAnswerReader reader(1.0);
    reader.begin(200, /*is_stream=*/true, 0.0);
    reader.take(stream.substr(0, cut), 2.0);
    reader.take(stream.substr(cut), 3.0);
    reader.finish();
    const auto answer = reader.answer(LoadEnd::kWhole, 4.0);
    expect_load_stream(answer);
    EXPECT_DOUBLE_EQ(answer.began, 1.0);
    EXPECT_DOUBLE_EQ(answer.ended, 4.0);
    EXPECT_DOUBLE_EQ(answer.token_times.front(), cut < stream.find("\n\n") + 2 ? 3.0 : 2.0);
  }
}

TEST(LoadAnswer, AnAnswerAtOnce) {
  LoadAnswerReader reader(0.0);
  reader.begin(200, /*is_stream=*/false, 0.0);
  reader.take("{\"choices\":[{\"text\":\"ab\",\"logprobs\":null,\"finish_reason\":\"stop\"}],",
              1.0);
  reader.take("\"usage\":{\"completion_tokens\":7,\"loops_mean\":2}}", 2.0);
  reader.finish();
  const auto answer = reader.answer(LoadEnd::kWhole, 2.0);
  EXPECT_EQ(answer.text, "ab");
  EXPECT_EQ(answer.completion_tokens, 7);
  EXPECT_TRUE(answer.token_times.empty());
}

TEST(LoadAnswer, ARefusalIsNoCompletion) {
  LoadAnswerReader reader(0.0);
  reader.begin(429, /*is_stream=*/false, 2.0);
  reader.take("{\"error\":{\"message\":\"full\"}}", 1.0);
  reader.finish();
  const auto answer = reader.answer(LoadEnd::kWhole, 1.0);
  EXPECT_EQ(answer.status, 429);
  EXPECT_DOUBLE_EQ(answer.retry_after, 2.0);
  EXPECT_EQ(answer.completion_tokens, 0);
  EXPECT_EQ(answer.failure, "{\"error\":{\"message\":\"full\"}}");
}

/// What is wrong with a body.
std::string load_error_in(const std::string& body, bool is_stream) {
  LoadAnswerReader reader(0.0);
  reader.begin(200, is_stream, 0.0);
  try {
    reader.take(body, 1.0);
    reader.finish();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing";
}

TEST(LoadAnswer, WhatMakesNoSenseIsSaid) {
  const std::string stream = kLoadStream;
  const auto done = stream.rfind("data: [DONE]");
  expect_contains(load_error_in(stream.substr(0, done), true),
                  "expected a stream that ends with [DONE]");
  expect_contains(load_error_in(stream + stream, true), "expected nothing behind [DONE]");
  expect_contains(load_error_in("event: x\n\n", true), "expected an event that begins with");
  expect_contains(load_error_in("data: {\"error\":{\"message\":\"gone\"}}\n\n", true), "gone");
  expect_contains(load_error_in("data: {\n\n", true), "load:1:");
  expect_contains(load_error_in("data: [DONE]\n\n", true), "expected a finish_reason");
  expect_contains(load_error_in("{}", false), "expected choices");
  expect_contains(load_error_in("[]", false), "expected a completion");
  expect_contains(load_error_in("", false), "load");
}

}  // namespace
}  // namespace loopbank
