#include "loopbank/infer/completion_file.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "loopbank/support/files.h"
#include "tests/eval/bigram_model.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;
using Json = nlohmann::json;

CompletionRequest defaults() {
  CompletionRequest request;
  request.options.max_tokens = 7;
  request.options.seed = 3;
  return request;
}

std::vector<CompletionRequest> requests_of(const TestDirectory& directory, std::string_view text) {
  return read_completion_requests(directory.write("prompts.jsonl", text), defaults());
}

std::vector<Json> lines_of(const std::filesystem::path& path) {
  std::vector<Json> lines;
  const auto text = read_file(path);
  for (size_t begin = 0; begin < text.size();) {
    const auto end = text.find('\n', begin);
    lines.push_back(Json::parse(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return lines;
}

Generation generation_of(const std::string& text) {
  Generation generation;
  generation.text = text;
  generation.tokens = {65};
  generation.log_probabilities = {-0.5};
  generation.loops = {1.5};
  generation.text_offsets = {0};
  return generation;
}

TEST(CompletionRequest, TakesWhatTheLineSaysAndTheRestFromTheDefaults) {
  const TestDirectory directory;
  const auto requests = requests_of(
      directory,
      R"({"prompt": "Ada", "id": "a7", "max_tokens": 2, "stop": "\n", "logit_bias": {"65": -2.5}})"
      "\n\n"
      R"({"prompt": [1, 2], "id": 9, "stop": ["x", "yz"], "n": 4, "temperature": 0, "top_k": 5,)"
      R"( "min_p": 0.1, "repetition_penalty": 1.1, "presence_penalty": -1, "logprobs": 2})");
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(std::get<std::string>(requests[0].prompt), "Ada");
  EXPECT_EQ(requests[0].id, "\"a7\"");
  EXPECT_EQ(requests[0].n, 1);
  EXPECT_EQ(requests[0].options.max_tokens, 2);
  EXPECT_EQ(requests[0].options.seed, 3);
  EXPECT_EQ(requests[0].options.stop, std::vector<std::string>{"\n"});
  EXPECT_EQ(requests[0].options.sampling.logit_bias, (NumberById{{65, -2.5}}));
  EXPECT_EQ(std::get<1>(requests[1].prompt), (std::vector<TokenId>{1, 2}));
  EXPECT_EQ(requests[1].id, "9");
  EXPECT_EQ(requests[1].index, 1);
  EXPECT_EQ(requests[1].n, 4);
  EXPECT_EQ(requests[1].options.max_tokens, 7);
  EXPECT_EQ(requests[1].options.sampling.top_k, 5);
  EXPECT_EQ(requests[1].options.sampling.temperature, 0.0);
  EXPECT_TRUE(requests[1].where.ends_with("prompts.jsonl:3"));
}

TEST(CompletionRequest, MistakesNameTheirLine) {
  const TestDirectory directory;
  const auto error = [&](ErrorCode code, std::string_view line) {
    return error_of(code, [&] {
      (void)requests_of(directory, fmt::format("{{\"prompt\": \"a\"}}\n{}\n", line));
    });
  };
  const auto expect = [&](std::string_view line, const std::string& fragment) {
    expect_contains(error(ErrorCode::kConfig, line), "prompts.jsonl:2: " + fragment);
  };
  expect(R"({"prompt": "a", "max_token": 2})",
         "unknown key \"max_token\". Did you mean \"max_tokens\"?");
  expect(R"({"promt": "a"})", "unknown key \"promt\". Did you mean \"prompt\"?");
  expect(R"({"id": "a"})", "\"prompt\" expects a text or a list of token ids, got no such key.");
  expect(R"({"prompt": [1, -2]})", "\"prompt\" expects a text or a list of token ids, got -2 in");
  expect(R"({"prompt": [4294967296]})", "\"prompt\" expects a text or a list of token ids");
  expect(R"({"prompt": "a", "top_p": 1.5})",
         "\"top_p\" expects a number above 0 and at most 1, got 1.5. Nearest: 1.");
  expect(R"({"prompt": "a", "logit_bias": {"x": 1}})", "\"logit_bias\" expects ids of 0 or more");
  expect(R"({"prompt": "a", "logit_bias": {"01": 1}})", "\"logit_bias\" expects ids of 0 or more");
  expect(R"({"prompt": "a", "stop": ["a", ""]})", "\"stop\" expects texts that are not empty");
  expect(R"({"prompt": "a", "id": [1]})", "\"id\" expects a text or a whole number");
  expect(R"(["a"])", "expected a JSON object");
  expect_contains(error(ErrorCode::kData, R"({"prompt": "a")"), "prompts.jsonl:2:");
}

TEST(CompletionLog, GoesOnBehindWhatIsWhole) {
  const TestDirectory directory;
  const auto requests = requests_of(
      directory, "{\"prompt\": \"a\", \"id\": \"first\"}\n{\"prompt\": \"b\", \"n\": 2}\n");
  const auto path = directory.path() / "out.jsonl";
  {
    CompletionLog log(path, requests);
    log.append(requests[1], 1, generation_of("two\n\xC3\xA9"));
    log.append(requests[0], 0, generation_of("one"));
  }
  const auto whole = read_file(path);
  // Killed at any byte of the second line, or before it.
  for (size_t size = whole.find('\n') + 1; size < whole.size(); ++size) {
    write_file_atomically(path, whole.substr(0, size));
    CompletionLog log(path, requests);
    ASSERT_EQ(log.num_done(), 1U) << size;
    ASSERT_TRUE(log.is_done(requests[1], 1));
    ASSERT_FALSE(log.is_done(requests[1], 0));
    ASSERT_FALSE(log.is_done(requests[0], 0));
    log.append(requests[0], 0, generation_of("one"));
    ASSERT_EQ(read_file(path), whole) << size;
  }
  const auto lines = lines_of(path);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].at("text"), "two\n\xC3\xA9");
  EXPECT_EQ(lines[0].at("index"), 1);
  EXPECT_EQ(lines[0].at("completion"), 1);
  EXPECT_FALSE(lines[0].contains("id"));
  EXPECT_EQ(lines[1].at("id"), "first");
  EXPECT_EQ(lines[1].at("token_logprobs"), Json({-0.5}));
  EXPECT_EQ(lines[1].at("loops"), Json({1.5}));
  EXPECT_EQ(CompletionLog(path, requests).num_done(), 2U);
}

TEST(CompletionLog, OtherFilesAndOtherRequestsAreRefusedAndKept) {
  const TestDirectory directory;
  const auto requests = requests_of(directory, "{\"prompt\": \"a\"}\n");
  const auto path = directory.path() / "out.jsonl";
  const auto open = [&](std::string_view prompts) {
    return
        [&directory, &path, prompts] { CompletionLog log(path, requests_of(directory, prompts)); };
  };
  for (const std::string text : {"notes without an end", "notes\n", "{\"text\": 1}\n"}) {
    write_file_atomically(path, text);
    expect_contains(error_of(ErrorCode::kData, open("{\"prompt\": \"a\"}\n")),
                    "out.jsonl:1: expected a line of completions, got another text.");
    EXPECT_EQ(read_file(path), text);
  }
  write_file_atomically(path, "");
  CompletionLog(path, requests).append(requests[0], 0, generation_of("b"));
  for (const std::string_view prompts :
       {"{\"prompt\": \"b\"}\n", "{\"prompt\": \"a\", \"top_k\": 2}\n", ""}) {
    expect_contains(error_of(ErrorCode::kData, open(prompts)),
                    "out.jsonl:1: expected completions of these prompts under these settings");
  }
  // More completions of the same prompt go on.
  EXPECT_NO_THROW(open("{\"prompt\": \"a\", \"n\": 3}\n{\"prompt\": \"c\"}\n")());
}

}  // namespace
}  // namespace loopbank
