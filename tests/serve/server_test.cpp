/// The whole server in this process: a tiny model, real sockets.

#include "loopbank/serve/server.h"

#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "loopbank/infer/generator.h"
#include "loopbank/support/error.h"
#include "loopbank/support/log.h"
#include "tests/serve/plain_client.h"

namespace loopbank {
namespace {

using nlohmann::json;
using testing::ask;
using testing::events_of;
using testing::PlainRequest;

constexpr int64_t kContext = 4096;

ModelConfig tiny_config() {
  ModelConfig config;
  config.vocab_size = 257;
  config.hidden_size = 16;
  config.intermediate_size = 32;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 2;
  config.max_position_embeddings = kContext;
  config.max_loops = 3;
  config.local_memory_slots = 8;
  config.global_memory_slots = 4;
  return config;
}

/// A server of random weights on a free port.
class Served {
 public:
  explicit Served(ServerOptions options = {}) : model_(tiny_config()) {
    set_log_level(LogLevel::kQuiet);
    model_.parameters().initialize(3);
    options.http.port = 0;
    server_ = std::make_unique<Server>(
        ServedModel{.model = model_, .tokenizer = tokenizer_, .id = "tiny"}, options);
    server_->start();
  }
  ~Served() { set_log_level(LogLevel::kInfo); }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  [[nodiscard]] int64_t port() const { return server_->port(); }
  Server& server() { return *server_; }
  [[nodiscard]] const LanguageModel& model() const { return model_; }
  [[nodiscard]] const Tokenizer& tokenizer() const { return tokenizer_; }

  [[nodiscard]] HttpReply get(const std::string& path) const { return ask(port(), {.path = path}); }
  [[nodiscard]] HttpReply post(const std::string& path, const json& body) const {
    return ask(port(), {.method = "POST", .path = path, .body = body.dump()});
  }
  [[nodiscard]] json complete(const json& body) const {
    const auto answer = post("/v1/completions", body);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return json::parse(answer.body);
  }
  /// The value of a series of /metrics without labels.
  [[nodiscard]] double metric(const std::string& name) const {
    const auto text = "\n" + get("/metrics").body;
    const auto found = text.find("\n" + name + " ");
    return found == std::string::npos ? -1.0 : std::stod(text.substr(found + name.size() + 2));
  }
  /// Whether a series comes to a value within some seconds.
  [[nodiscard]] bool comes_to(const std::string& name, double value) const {
    for (int i = 0; i < 500; ++i) {
      if (metric(name) == value) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

 private:
  LanguageModel model_;
  Tokenizer tokenizer_ = Tokenizer::bytes();
  std::unique_ptr<Server> server_;
};

/// A completion that would take long: end of text is never drawn.
json long_request(int64_t tokens, int64_t completions = 1) {
  return {{"prompt", "x"},    {"n", completions}, {"max_tokens", tokens},
          {"temperature", 0}, {"stream", true},   {"logit_bias", {{"256", -100}}}};
}

std::string posted(const json& body) {
  return PlainRequest{
      .method = "POST", .path = "/v1/completions", .body = body.dump(), .headers = {}}
      .text();
}

TEST(ServerTest, AGreedyCompletionIsTheGeneratorsOwn) {
  const Served served;
  GenerateOptions options;
  options.max_tokens = 24;
  options.sampling.temperature = 0.0;
  for (const char* rule : {"all", "cdf:0.5"}) {
    options.inference.exit = rule;
    Generator generator(served.model(), served.tokenizer());
    const auto expected = generator.generate("Ada lives in", options);
    const auto answer = served.complete(
        {{"prompt", "Ada lives in"}, {"max_tokens", 24}, {"temperature", 0}, {"exit", rule}});
    EXPECT_EQ(answer["choices"][0]["text"], expected.text);
    EXPECT_EQ(answer["usage"]["prompt_tokens"], 12);
    EXPECT_NEAR(answer["usage"]["loops_mean"].get<double>(), expected.mean_loops, 1e-3);
  }
}

TEST(ServerTest, AStreamHasTheTextOfTheWholeAnswerAndEndsWithDone) {
  const Served served;
  json body = {{"prompt", "Ada"}, {"max_tokens", 12}, {"temperature", 1}, {"seed", 5}};
  const auto whole = served.complete(body);
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  const auto answer = served.post("/v1/completions", body);
  EXPECT_EQ(answer.headers.at("content-type"), "text/event-stream");
  auto events = events_of(answer);
  ASSERT_GE(events.size(), 3U);
  EXPECT_EQ(events.back(), "[DONE]");
  events.pop_back();
  const auto usage = json::parse(events.back());
  EXPECT_TRUE(usage["choices"].empty());
  EXPECT_EQ(usage["usage"], whole["usage"]);
  events.pop_back();
  std::string text;
  for (const auto& event : events) {
    text += json::parse(event)["choices"][0]["text"].get<std::string>();
  }
  EXPECT_EQ(text, whole["choices"][0]["text"]);
}

TEST(ServerTest, EchoScoresThePromptInOnePass) {
  const Served served;
  for (const int64_t drawn : {0, 1}) {
    const auto answer = served.complete({{"prompt", json::array({72, 101, 108, 108, 111})},
                                         {"max_tokens", drawn},
                                         {"echo", true},
                                         {"logprobs", 1},
                                         {"temperature", 0}});
    const auto& logprobs = answer["choices"][0]["logprobs"];
    EXPECT_EQ(logprobs["token_logprobs"].size(), static_cast<size_t>(5 + drawn));
    EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
    EXPECT_LT(logprobs["token_logprobs"][1].get<double>(), 0.0);
  }
}

TEST(ServerTest, MetricsTellTheLoopsThatAnswersTell) {
  const Served served;
  const auto answer = served.complete(
      {{"prompt", "Ada lives in"}, {"max_tokens", 9}, {"logit_bias", {{"256", -100}}}});
  // All tokens but the last are read: those of the prompt and eight of the nine.
  EXPECT_TRUE(served.comes_to("loopbank_loop_tokens_total", 12.0 + 8.0));
  EXPECT_NEAR(served.metric("loopbank_loops_total") / 20.0,
              answer["usage"]["loops_mean"].get<double>(), 1e-3);
}

TEST(ServerTest, AClosedConnectionEndsItsRequestAndFreesItsPages) {
  const Served served;
  {
    HttpSocket connection(served.port());
    connection.send(posted(long_request(4000, /*completions=*/64)));
    ASSERT_TRUE(connection.read_until("data: "));
    EXPECT_TRUE(served.comes_to("loopbank_requests_running", 1.0));
    connection.close();
  }
  EXPECT_TRUE(served.comes_to("loopbank_requests_running", 0.0));
  EXPECT_LT(served.metric("loopbank_generated_tokens_total"), 64 * 4000.0);
}

TEST(ServerTest, AFullQueueAnswers429AndSaysWhenToComeAgain) {
  ServerOptions options;
  options.scheduler.max_requests = 1;
  const Served served(options);
  HttpSocket first(served.port());
  first.send(posted(long_request(4000, /*completions=*/64)));
  ASSERT_TRUE(first.read_until("data: "));
  const auto answer = served.post("/v1/completions", {{"prompt", "y"}});
  EXPECT_EQ(answer.status, 429);
  EXPECT_GE(std::stoi(answer.headers.at("retry-after")), 1);
  EXPECT_EQ(json::parse(answer.body)["error"]["code"], "queue_full");
  EXPECT_TRUE(served.comes_to("loopbank_requests_running", 1.0));  // told once a pass is over
  first.close();
  EXPECT_TRUE(served.comes_to("loopbank_requests_running", 0.0));
  EXPECT_EQ(served.post("/v1/completions", {{"prompt", "y"}}).status, 200);
}

TEST(ServerTest, ErrorsHaveTheirStatusTheirFieldAndARequestId) {
  const Served served;
  const auto refused = served.post("/v1/completions", {{"prompt", "x"}, {"max_token", 3}});
  EXPECT_EQ(refused.status, 400);
  const auto error = json::parse(refused.body)["error"];
  EXPECT_EQ(error["param"], "max_token");
  EXPECT_NE(error["message"].get<std::string>().find("max_tokens"), std::string::npos);
  EXPECT_FALSE(refused.headers.at("x-request-id").empty());
  EXPECT_EQ(served.get("/v1/completion").status, 404);
  const auto wrong_method = served.get("/v1/completions");
  EXPECT_EQ(wrong_method.status, 405);
  EXPECT_EQ(wrong_method.headers.at("allow"), "POST");
  EXPECT_EQ(served.get("/v1/models/other").status, 404);
  EXPECT_EQ(served.get("/v1/models/tiny").status, 200);
}

TEST(ServerTest, WithKeysOnlyTheirHoldersAreAnswered) {
  ServerOptions options;
  options.api_keys = {"right-key"};
  const Served served(options);
  const auto models = [&](const char* authorization) {
    return ask(served.port(),
               {.path = "/v1/models", .headers = {{"Authorization", authorization}}});
  };
  EXPECT_EQ(models("Bearer right-key").status, 200);
  const auto refused = models("Bearer wrong-key");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.body.find("wrong-key"), std::string::npos);
  EXPECT_EQ(served.get("/metrics").status, 401);
  for (const char* open : {"/", "/page.js", "/page.css", "/health", "/openapi.json"}) {
    EXPECT_EQ(served.get(open).status, 200) << open;
  }
}

TEST(ServerTest, PagesOfOtherOriginsMayNotAsk) {
  const Served served;
  const auto status = [&](const char* name, const char* value) {
    return ask(served.port(), {.path = "/v1/models", .headers = {{name, value}}}).status;
  };
  EXPECT_EQ(status("Origin", "https://example.org"), 403);
  EXPECT_EQ(status("Origin", "http://127.0.0.1"), 200);  // our own page
  EXPECT_EQ(status("Host", "example.org"), 403);         // a name made up for this address
  EXPECT_EQ(status("Host", "localhost:99"), 200);
  ServerOptions options;
  options.cors_origin = "https://example.org";
  const Served open(options);
  const auto answer =
      ask(open.port(), {.path = "/v1/models", .headers = {{"Origin", "https://example.org"}}});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("access-control-allow-origin"), "https://example.org");
  EXPECT_EQ(ask(open.port(), {.method = "OPTIONS", .path = "/v1/completions"}).status, 204);
}

TEST(ServerTest, AnAddressThatOthersReachWantsAKey) {
  ServerOptions options;
  options.http.host = "0.0.0.0";
  try {
    const Served served(options);
    FAIL() << "it listens";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("--api-key-file"), std::string::npos);
  }
}

TEST(ServerTest, ThePageLoadsNothingFromElsewhere) {
  const Served served;
  const auto page = served.get("/");
  EXPECT_EQ(page.status, 200);
  const auto& policy = page.headers.at("content-security-policy");
  EXPECT_NE(policy.find("default-src 'none'"), std::string::npos);
  for (const char* elsewhere : {"src=\"http", "href=\"http", "src=\"//", "href=\"//", "@import"}) {
    EXPECT_EQ(page.body.find(elsewhere), std::string::npos) << elsewhere;
  }
}

TEST(ServerTest, DrainingLetsARunningStreamEndAndTakesNothingNew) {
  Served served;
  HttpSocket running(served.port());
  running.send(posted(long_request(200)));
  ASSERT_TRUE(running.read_until("data: "));
  EXPECT_TRUE(served.server().drain(60.0));
  EXPECT_EQ(events_of(*running.receive()).back(), "[DONE]");
  EXPECT_THROW((void)served.get("/health"), std::runtime_error);
}

TEST(ServerTest, AStreamThatOutlastsDrainingEndsWithAnError) {
  Served served;
  HttpSocket running(served.port());
  running.send(posted(long_request(4000, /*completions=*/64)));
  ASSERT_TRUE(running.read_until("data: "));
  EXPECT_FALSE(served.server().drain(0.0));
  const auto events = events_of(*running.receive());
  EXPECT_EQ(json::parse(events.back())["error"]["code"], "shutting_down");
}

}  // namespace
}  // namespace loopbank
