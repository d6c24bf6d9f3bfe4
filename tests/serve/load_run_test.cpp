#include "loopbank/serve/load/load_run.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "loopbank/serve/http/http_server.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

/// A server that answers every request by the handler.
class LoadedServer {
 public:
  explicit LoadedServer(HttpHandler handler) : server_({.port = 0}, std::move(handler)) {
    server_.start();
  }
  ~LoadedServer() { server_.stop(); }

  [[nodiscard]] LoadTarget target() const {
    return {.port = server_.port(), .silence_seconds = 10.0};
  }

 private:
  HttpServer server_;
};

std::string load_event(bool is_last) {
  return std::string("data: {\"choices\":[{\"index\":0,\"text\":\"") + (is_last ? "" : "x") +
         "\",\"finish_reason\":" + (is_last ? "\"length\"" : "null") + "}]}\n\n";
}

/// All tokens that were asked for, at once, and the end.
void answer_load(const nlohmann::json& body, HttpAnswer& answer) {
  const auto tokens = body.at("max_tokens").get<int64_t>();
  const std::string usage =
      "\"usage\":{\"completion_tokens\":" + std::to_string(tokens) + ",\"loops_mean\":1.5}";
  if (!body.at("stream").get<bool>()) {
    answer.send(
        {.body = "{\"choices\":[{\"text\":\"x\",\"finish_reason\":\"stop\"}]," + usage + "}"});
    return;
  }
  answer.begin_stream({.content_type = "text/event-stream"});
  for (int64_t i = 0; i < tokens; ++i) {
    answer.write(load_event(false));
  }
  answer.write(load_event(true) + "data: {\"choices\":[]," + usage + "}\n\ndata: [DONE]\n\n");
  answer.end();
}

constexpr LoadOptions quick_load() {
  return {.clients = 3,
          .ramp_seconds = 0.0,
          .seconds = 0.3,
          .prompt_tokens = {2, 8},
          .max_tokens = {3, 5},
          .num_ids = 10};
}

TEST(LoadRun, CountsTheTokensAndAnswersOfAWindow) {
  std::mutex mutex;
  std::atomic<int64_t> asked = 0;
  nlohmann::json last;
  const LoadedServer server(
      [&](const HttpRequest& request, const std::shared_ptr<HttpAnswer>& answer) {
        ++asked;
        EXPECT_EQ(request.path, "/v1/completions");
        EXPECT_EQ(request.header("authorization"), "Bearer secret");
        const auto body = nlohmann::json::parse(request.body);
        answer_load(body, *answer);
        const std::lock_guard lock(mutex);
        last = body;
      });
  auto options = quick_load();
  options.stream_share = 0.7;
  options.members = "\"exit\":\"cdf:0.9\"";
  auto target = server.target();
  target.api_key = "secret";
  double watched = -1.0;
  const auto figures = run_load(target, options, [&](double seconds) { watched = seconds; });
  const auto answers = figures.statuses.at(200);
  EXPECT_GE(answers, options.clients);
  EXPECT_LE(answers, asked);
  EXPECT_GE(answers, asked * 9 / 10);  // but for those of the end
  EXPECT_EQ(figures.statuses.size(), 1U);
  EXPECT_EQ(figures.broken, 0) << figures.first_failure;
  EXPECT_GE(figures.generated_tokens, 3 * answers);
  EXPECT_LE(figures.generated_tokens, 5 * asked);
  EXPECT_GT(figures.first_token.count, answers / 3);  // the streams'
  EXPECT_LT(figures.first_token.count, asked);
  EXPECT_GT(figures.first_token.median, 0.0);
  EXPECT_EQ(figures.whole.count, answers);
  EXPECT_LE(figures.whole.median, figures.whole.p99);
  EXPECT_LE(figures.whole.p99, figures.whole.longest);
  EXPECT_DOUBLE_EQ(figures.mean_loops, 1.5);
  EXPECT_DOUBLE_EQ(figures.requests_per_second, static_cast<double>(answers) / options.seconds);
  EXPECT_GT(watched, 0.0);
  EXPECT_EQ(last.at("exit"), "cdf:0.9");
  EXPECT_EQ(last.at("temperature"), 0);
  EXPECT_FALSE(last.contains("logprobs"));
}

TEST(LoadRun, AClientThatHangsUpIsSeenByTheServer) {
  std::atomic<int64_t> gone = 0;
  std::vector<std::shared_ptr<HttpAnswer>> kept;  // on the server's thread alone
  const LoadedServer server([&](const HttpRequest&, const std::shared_ptr<HttpAnswer>& answer) {
    kept.push_back(answer);
    answer->begin_stream({.content_type = "text/event-stream"});
    answer->on_gone([&gone] { ++gone; });
    for (int token = 0; token < 5; ++token) {
      answer->write(load_event(false));  // and never ends
    }
  });
  auto options = quick_load();
  options.cancel_share = 1.0;
  const auto figures = run_load(server.target(), options);
  EXPECT_GT(figures.cancelled, 0);
  EXPECT_GE(gone, figures.cancelled - options.clients);
  EXPECT_TRUE(figures.statuses.empty());
  EXPECT_EQ(figures.broken, 0) << figures.first_failure;
}

TEST(LoadRun, ARefusalIsCountedAndWaitedFor) {
  std::atomic<int64_t> asked = 0;
  const LoadedServer server([&](const HttpRequest&, const std::shared_ptr<HttpAnswer>& answer) {
    ++asked;
    answer->send({.status = 429, .body = "{}", .headers = {{"retry-after", "1"}}});
  });
  const auto options = quick_load();
  const auto figures = run_load(server.target(), options);
  EXPECT_EQ(figures.statuses, (std::map<int, int64_t>{{429, options.clients}}));
  EXPECT_EQ(asked, options.clients);  // 0.3 s are over before the second time
}

TEST(LoadRun, WhatBreaksIsSaid) {
  const LoadedServer server([](const HttpRequest&, const std::shared_ptr<HttpAnswer>& answer) {
    answer->begin_stream({.content_type = "text/event-stream"});
    answer->write(load_event(false));
    answer->end();
  });
  const auto figures = run_load(server.target(), quick_load());
  EXPECT_GE(figures.broken, 3);
  expect_contains(figures.first_failure, "expected a stream that ends with [DONE]");
  LoadTarget nobody{.port = 1};
  const auto refused = run_load(nobody, quick_load());
  EXPECT_GE(refused.broken, 3);
  expect_contains(refused.first_failure, "expected a connection, got: ");
}

TEST(LoadRun, AServerThatFallsSilentBreaksTheAnswer) {
  std::vector<std::shared_ptr<HttpAnswer>> kept;
  std::mutex mutex;
  const LoadedServer server([&](const HttpRequest&, const std::shared_ptr<HttpAnswer>& answer) {
    const std::lock_guard lock(mutex);
    kept.push_back(answer);
  });
  auto target = server.target();
  target.silence_seconds = 0.1;
  const auto figures = run_load(target, quick_load());
  EXPECT_GE(figures.broken, 3);
  expect_contains(figures.first_failure, "expected the head of an answer, got nothing for 0.1 s");
}

TEST(LoadRun, LongPromptsComeBesideTheClientsAtTheirRate) {
  std::atomic<int64_t> long_ones = 0;
  const LoadedServer server(
      [&](const HttpRequest& request, const std::shared_ptr<HttpAnswer>& answer) {
        const auto body = nlohmann::json::parse(request.body);
        long_ones += body.at("prompt").size() == 50 ? 1 : 0;
        answer_load(body, *answer);
      });
  auto options = quick_load();
  options.long_tokens = 50;
  options.long_prompts = 20.0;  // every 50 ms: at 0.05, 0.1, ... 0.25, and maybe at the end
  const auto figures = run_load(server.target(), options);
  EXPECT_GE(long_ones, 3);
  EXPECT_LE(long_ones, 7);
  EXPECT_LE(figures.long_prompts, long_ones);
  EXPECT_GT(figures.long_prompts, 0);
}

TEST(LoadRun, AnAnswerIsKeptWithItsSeed) {
  const LoadedServer server(
      [&](const HttpRequest& request, const std::shared_ptr<HttpAnswer>& answer) {
        answer_load(nlohmann::json::parse(request.body), *answer);
      });
  auto options = quick_load();
  options.keeps_answers = true;
  const auto figures = run_load(server.target(), options);
  ASSERT_GE(figures.answers.size(), 3U);
  for (const auto& pair : figures.answers) {
    if (pair.answer.end == LoadEnd::kWhole) {
      EXPECT_EQ(pair.answer.completion_tokens, load_prompt(options, pair.seed).max_tokens);
    }
  }
}

TEST(LoadPrompt, IsDecidedByItsSeed) {
  auto options = quick_load();
  options.prompt_tokens = {16, 512};
  options.cancel_share = 0.5;
  int64_t short_ones = 0;
  int64_t cancelled = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const auto prompt = load_prompt(options, seed);
    EXPECT_EQ(prompt.ids, load_prompt(options, seed).ids);
    EXPECT_NE(prompt.ids, load_prompt(options, seed + 1).ids);
    const auto length = static_cast<int64_t>(prompt.ids.size());
    EXPECT_TRUE(length >= 16 && length <= 512) << length;
    EXPECT_TRUE(prompt.max_tokens >= 3 && prompt.max_tokens <= 5);
    EXPECT_TRUE(prompt.cancel_after >= 0 && prompt.cancel_after <= prompt.max_tokens);
    short_ones += length < 91 ? 1 : 0;  // the middle of the logarithms
    cancelled += prompt.cancel_after > 0 ? 1 : 0;
    for (const auto id : prompt.ids) {
      EXPECT_TRUE(id >= 0 && id < 10);
    }
  }
  EXPECT_NEAR(short_ones, 200, 40);
  EXPECT_NEAR(cancelled, 200, 40);
}

TEST(LoadOptions, RangesAndAddressesAreRead) {
  EXPECT_EQ(TokenRange::parse("--x", "16:512").high, 512);
  EXPECT_EQ(TokenRange::parse("--x", "64").low, 64);
  EXPECT_EQ(TokenRange::parse("--x", "64").high, 64);
  for (const auto* wrong : {"", "0", "5:4", "5:", ":5", "5:6:7", "a", "5 "}) {
    expect_contains(error_of(ErrorCode::kConfig, [&] { (void)TokenRange::parse("--x", wrong); }),
                    "--x: expected LOW:HIGH");
  }
  const auto target = LoadTarget::of_url("--url", "http://localhost:81/");
  EXPECT_EQ(target.host, "localhost");
  EXPECT_EQ(target.port, 81);
  for (const auto* wrong : {"", "http://", "localhost:80", "http://a", "http://a:", "http://:80",
                            "http://a:0", "http://a:70000", "http://a:8x", "https://a:80"}) {
    expect_contains(error_of(ErrorCode::kConfig, [&] { (void)LoadTarget::of_url("--url", wrong); }),
                    "--url: expected http://HOST:PORT");
  }
}

}  // namespace
}  // namespace loopbank
