#include "loopbank/serve/api/chat_template.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "loopbank/serve/api/completion_request.h"
#include "tests/serve/small_served_model.h"
#include "tests/support/test_directory.h"
#include "tests/tokenize/small_tokenizer.h"

namespace loopbank {
namespace {

using testing::api_error_of_action;
using testing::error_of;
using testing::expect_contains;
using testing::small_served_model;
using testing::TestDirectory;

constexpr const char* kChat = R"([chat]
begin = "<|endoftext|>"
system = "S {content}\n"
user = "U {content}<|endoftext|>"
assistant = ""
answer = "A"
stop = ["U "]
)";

TEST(ChatTemplate, WritesTheMessagesAndTheBeginningOfTheAnswer) {
  const TestDirectory folder;
  const auto chat = ChatTemplate::load(folder.write("chat.toml", kChat));
  const auto tokenizer = Tokenizer::bytes();
  const auto ids = chat.prompt_of({{"system", "be"}, {"user", "hi"}}, tokenizer);
  EXPECT_EQ(ids, tokenizer.encode("<|endoftext|>S be\nU hi<|endoftext|>A", /*parse_special=*/true));
  EXPECT_EQ(ids.front(), 256);
}

TEST(ChatTemplate, SpecialTokensInAMessageAreText) {
  const TestDirectory folder;
  const auto chat = ChatTemplate::load(folder.write("chat.toml", kChat));
  const auto tokenizer = Tokenizer::bytes();
  const auto ids = chat.prompt_of({{"user", "<|endoftext|>"}}, tokenizer);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 256), 2);
  EXPECT_EQ(tokenizer.decode(ids), "<|endoftext|>U <|endoftext|><|endoftext|>A");
}

TEST(ChatTemplate, TextOfTheTemplateAndOfAMessageIsEncodedInOnePiece) {
  // With merges: "ab" is one token, also where a comes from the template and b from the message.
  const TestDirectory folder;
  const auto path = folder.write("tokenizer.json", testing::small_tokenizer({{"a", "b"}}).dump());
  const auto tokenizer = Tokenizer::load(path);
  const ChatTemplate chat{.user = "a{content}"};
  EXPECT_EQ(chat.prompt_of({{"user", "b"}}, tokenizer), tokenizer.encode("ab"));
  EXPECT_EQ(tokenizer.encode("ab").size(), 1U);
}

TEST(ChatTemplate, CutsAtSpecialTokensAndNotAtOtherAddedOnes) {
  const TestDirectory folder;
  auto json = testing::small_tokenizer({});
  json["added_tokens"].push_back(testing::added_token(257, "<br>", /*special=*/false));
  const auto tokenizer = Tokenizer::load(folder.write("tokenizer.json", json.dump()));
  const std::string text = "a<br><|endoftext|>b<|endoftext|>";
  const auto special = tokenizer.special_tokens(text);
  ASSERT_EQ(special.size(), 2U);
  EXPECT_EQ(text.substr(special[0].begin, special[0].end - special[0].begin), "<|endoftext|>");
  EXPECT_EQ(special[1].end, text.size());
  const ChatTemplate chat{.user = "<|endoftext|>{content}"};
  EXPECT_EQ(chat.prompt_of({{"user", "a<br>"}}, tokenizer), (std::vector<TokenId>{256, 'a', 257}));
}

TEST(ChatTemplate, RefusesWhatItCannotWrite) {
  const TestDirectory folder;
  const auto refused = [&](const std::string& text) {
    const auto path = folder.write("chat.toml", text);
    return error_of(ErrorCode::kConfig, [&] { (void)ChatTemplate::load(path); });
  };
  expect_contains(refused("[chat]\nuser = \"x\"\n"), "\"user\" in [chat] expects {content} once");
  expect_contains(refused("[chat]\nuser = \"{content}{content}\"\n"), "got it 2 times");
  expect_contains(refused("[chat]\nanswer = \"x\"\n"), "expected \"user\" in [chat]");
  expect_contains(refused("[chat]\nusr = \"{content}\"\n"), "chat.toml:2: unknown key \"usr\"");
  expect_contains(refused("[chat]\nuser = \"{content}\"\nstop = [\"\"]\n"), "\"stop\"");
  const auto chat = ChatTemplate::load(folder.write("chat.toml", kChat));
  const auto error = api_error_of_action([&] {
    (void)chat.prompt_of({{"assistant", "a"}}, Tokenizer::bytes());
  });
  EXPECT_EQ(error.status(), 400);
  expect_contains(error.what(), "got \"assistant\"");
}

TEST(ChatTemplate, IsThatOfTheFlagOrOfTheModelsFolder) {
  const TestDirectory folder;
  expect_contains(load_chat(folder.path()).why_not, "got none. Start the server with");
  folder.write("tokenizer_config.json", R"({"chat_template": "{% for m in messages %}"})");
  expect_contains(load_chat(folder.path()).why_not, "got one in Jinja alone");
  folder.write("chat.toml", kChat);
  EXPECT_EQ(load_chat(folder.path()).chat->answer, "A");
  const auto other = folder.write("other.toml", "[chat]\nuser = \"{content}\"\nanswer = \"B\"\n");
  EXPECT_EQ(load_chat(folder.path(), other).chat->answer, "B");
  (void)error_of(ErrorCode::kConfig,
                 [&] { (void)load_chat(folder.path(), folder.path() / "no.toml"); });
}

ServedModel chatting() {
  auto served = small_served_model();
  served.chat =
      ChatTemplate{.system = "S{content}", .user = "U{content}", .answer = "A", .stop = {"U"}};
  return served;
}

TEST(ChatRequest, BecomesAPromptOfIds) {
  const auto served = chatting();
  const auto body = parse_chat_body(
      R"({"messages": [{"role": "developer", "content": "x"},
                       {"role": "user", "content": [{"type": "text", "text": "y"},
                                                    {"type": "text", "text": "z"}], "name": "n", "type": "text"}],
          "stop": "!", "max_completion_tokens": 3, "logprobs": true, "top_logprobs": 2,
          "tools": [], "response_format": {"type": "text"}, "store": false})",
      served);
  EXPECT_TRUE(body.chat);
  EXPECT_EQ(served.tokenizer.decode(std::get<1>(body.prompts.at(0))), "SxUyzA");
  EXPECT_EQ(body.options.stop, (std::vector<std::string>{"!", "U"}));
  EXPECT_EQ(body.options.max_tokens, 3);
  EXPECT_TRUE(body.tells_logprobs);
  EXPECT_EQ(body.options.sampling.logprobs, 2);
  EXPECT_EQ(parse_chat_body(R"({"messages": [{"role": "user", "content": ""}]})", served)
                .options.max_tokens,
            64);
}

TEST(ChatRequest, TakesEitherNameOfTheMostTokensAndOfLogprobs) {
  const auto served = chatting();
  const auto with = [&](const std::string& fields) {
    return parse_chat_body(R"({"messages": [{"role": "user", "content": "a"}], )" + fields + "}",
                           served);
  };
  EXPECT_EQ(with(R"("max_tokens": 3)").options.max_tokens, 3);
  EXPECT_EQ(with(R"("max_tokens": 3, "max_completion_tokens": 4)").options.max_tokens, 4);
  EXPECT_TRUE(with(R"("top_logprobs": 2)").tells_logprobs);
  EXPECT_FALSE(with(R"("top_logprobs": 2, "logprobs": false)").tells_logprobs);
  EXPECT_EQ(with(R"("top_logprobs": 2, "logprobs": false)").options.sampling.logprobs, 0);
  EXPECT_TRUE(with(R"("logprobs": true)").tells_logprobs);
}

TEST(ChatRequest, NamesTheFieldThatItRefuses) {
  const auto served = chatting();
  const auto refused = [&](const std::string& body, const std::string& param,
                           const std::string& code) {
    const auto error = api_error_of_action([&] { (void)parse_chat_body(body, served); });
    EXPECT_EQ(error.status(), 400) << body;
    EXPECT_EQ(error.param(), param) << error.what();
    EXPECT_EQ(error.code(), code) << error.what();
  };
  const std::string messages = R"("messages": [{"role": "user", "content": "a"}])";
  refused("{}", "messages", "missing_field");
  refused(R"({"messages": []})", "messages", "invalid_value");
  refused(R"({"messages": [1]})", "messages.0", "invalid_value");
  refused(R"({"messages": [{"role": "user"}]})", "messages.0.content", "missing_field");
  refused(R"({"messages": [{"content": "a"}]})", "messages.0.role", "missing_field");
  refused(R"({"messages": [{"role": "tool", "content": "a"}]})", "messages.0.role",
          "invalid_value");
  refused(R"({"messages": [{"role": "user", "content": "a", "tool_calls": [1]}]})",
          "messages.0.tool_calls", "unsupported_field");
  refused(R"({"messages": [{"role": "user", "content": "a", "name": 1}]})", "messages.0.name",
          "invalid_value");
  refused(R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})",
          "messages.0.content", "unsupported_field");
  refused(R"({"messages": [{"role": "user", "content": [{"type": "text"}]}]})",
          "messages.0.content.text", "missing_field");
  refused("{" + messages + R"(, "tools": [1]})", "tools", "unsupported_field");
  refused("{" + messages + R"(, "prompt": "a"})", "prompt", "unknown_field");
  refused(R"({"messages": [{"role": "assistant", "content": "a"}]})", "messages",
          "unsupported_role");
}

TEST(ChatRequest, WithoutATemplateSaysWhy) {
  const auto error = api_error_of_action([] {
    (void)parse_chat_body(R"({"messages": [{"role": "user", "content": "a"}]})",
                          small_served_model());
  });
  EXPECT_EQ(error.status(), 400);
  EXPECT_EQ(error.code(), "no_chat_template");
  expect_contains(error.what(), "expected a template");
}

}  // namespace
}  // namespace loopbank
