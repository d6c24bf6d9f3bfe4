#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "fixtures.h"
#include "loopbank/model/weights.h"
#include "loopbank/support/sha256.h"
#include "loopbank/support/stopwatch.h"
#include "loopbank/tokenize/tokenizer.h"
#include "program.h"
#include "serve_process.h"
#include "tests/support/test_directory.h"

/// What a server meets from outside, process by process: signals, hostile clients, wrong flags.

namespace loopbank::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEndOfHead = "\r\n\r\n";
constexpr const char* kDoneEvent = "data: [DONE]\n\n";

/// A model that reads many tokens, so that a stream lasts for seconds.
void write_long_model(const fs::path& directory) {
  ModelConfig config;
  config.vocab_size = 257;
  config.hidden_size = 64;
  config.intermediate_size = 128;
  config.num_hidden_layers = 4;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 16384;
  config.max_loops = 2;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/1);
  fs::create_directories(directory);
  save_model(model, directory);
  Tokenizer::bytes().save(directory / "tokenizer.json");
}

/// A completion of as many tokens as asked for: the end of the text is never drawn.
std::string long_body(int64_t max_tokens, bool is_stream = true) {
  return fmt::format(
      R"({{"prompt":"Velm","max_tokens":{},"temperature":0,"stream":{},"logit_bias":{{"256":-100}}}})",
      max_tokens, is_stream);
}

/// Every file of a folder and its hash.
std::map<std::string, std::string> hashes_of(const fs::path& directory) {
  std::map<std::string, std::string> hashes;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) {
      hashes[fs::relative(entry.path(), directory)] = sha256_of(entry.path());
    }
  }
  return hashes;
}

int64_t count_of(const std::string& text, const std::string& part) {
  int64_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) {
    ++count;
  }
  return count;
}

void expect_error_object(const TestAnswer& answer, int status) {
  EXPECT_EQ(answer.status, status) << answer.head << "\n" << answer.body;
  const auto json = nlohmann::json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(json.is_object()) << answer.body;
  EXPECT_FALSE(json.value("error", nlohmann::json::object()).value("message", "").empty())
      << answer.body;
  auto head = answer.head;
  std::transform(head.begin(), head.end(), head.begin(), ::tolower);
  expect_contains(head, "x-request-id: ");
}

class ServeFaults : public ::testing::Test {
 protected:
  void SetUp() override { write_long_model(folder() / "model"); }

  [[nodiscard]] const fs::path& folder() const { return directory_.path(); }

  [[nodiscard]] std::unique_ptr<ServeProcess> serve(std::vector<std::string> flags = {},
                                                    const std::string& port = "0") {
    flags.insert(flags.begin(), {"model", "--port", port});
    auto server = std::make_unique<ServeProcess>(folder(), fmt::format("serve-{}", num_servers_++),
                                                 std::move(flags));
    EXPECT_GT(server->port(), 0) << server->err();
    return server;
  }

  /// A stream of which the first token is there.
  [[nodiscard]] static TestSocket started_stream(const ServeProcess& server, int64_t max_tokens) {
    TestSocket socket(server.port());
    EXPECT_TRUE(socket.send(post_bytes("/v1/completions", long_body(max_tokens))));
    const auto begun = socket.receive_until("data: ");
    expect_contains(begun, "HTTP/1.1 200");
    return socket;
  }

  TestDirectory directory_;
  int num_servers_ = 0;
};

/// Whether nobody takes connections at a port any more, or whoever is there says that it goes.
bool takes_no_requests(const ServeProcess& server) {
  if (!TestSocket(server.port()).is_open()) {
    return true;
  }
  const auto answer = server.post("/v1/completions", long_body(1));
  return answer.status == 503 || answer.status == 0;
}

void expect_soon(const std::function<bool()>& condition, const char* what, double limit = 10.0) {
  const Stopwatch watch;
  while (!condition()) {
    ASSERT_LT(watch.seconds(), limit) << "expected soon: " << what;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

TEST_F(ServeFaults, SigtermLetsAStreamFinishAndTakesNoMore) {
  const auto server = serve();
  auto stream = started_stream(*server, 1500);
  server->signal(SIGTERM);
  expect_soon([&] { return takes_no_requests(*server); }, "no new requests");
  EXPECT_FALSE(server->wait(0.0)) << "it has to wait for the stream: " << server->err();
  expect_contains(stream.receive_all(), kDoneEvent);
  EXPECT_EQ(server->wait(10.0), 0) << server->err();
}

TEST_F(ServeFaults, AStreamThatOutlastsTheDrainEndsWithAnErrorEvent) {
  const auto server = serve({"--drain-seconds", "1"});
  auto stream = started_stream(*server, 16000);
  server->signal(SIGTERM);
  const auto rest = stream.receive_all();
  EXPECT_TRUE(stream.was_closed());
  expect_contains(rest, "data: {\"error\":");
  EXPECT_EQ(count_of(rest, kDoneEvent), 0) << rest.substr(rest.size() - 300);
  EXPECT_EQ(server->wait(10.0), 0) << server->err();
}

TEST_F(ServeFaults, ASecondSigtermEndsItAtOnce) {
  const auto server = serve();
  auto stream = started_stream(*server, 16000);
  server->signal(SIGTERM);
  expect_soon([&] { return takes_no_requests(*server); }, "no new requests");
  server->signal(SIGTERM);
  const auto status = server->wait(5.0);
  ASSERT_TRUE(status) << server->err();
  EXPECT_NE(*status, 0);
  EXPECT_EQ(count_of(stream.receive_all(), kDoneEvent), 0);
}

TEST_F(ServeFaults, KilledAndStartedAgainAtTheSamePort) {
  const auto before = hashes_of(folder() / "model");
  auto server = serve();
  const auto port = std::to_string(server->port());
  auto stream = started_stream(*server, 16000);
  server->signal(SIGKILL);
  EXPECT_EQ(server->wait(10.0), 128 + SIGKILL);
  const auto again = serve({}, port);
  EXPECT_EQ(std::to_string(again->port()), port);
  EXPECT_EQ(again->post("/v1/completions", long_body(3, false)).status, 200);
  EXPECT_EQ(hashes_of(folder() / "model"), before);
}

TEST_F(ServeFaults, AClosedSocketFreesItsPlaceInTheQueue) {
  const auto server = serve({"--max-requests", "2"});
  {
    const auto first = started_stream(*server, 16000);
    const auto second = started_stream(*server, 16000);
    const auto refused = server->post("/v1/completions", long_body(1));
    expect_error_object(refused, 429);
    auto head = refused.head;
    std::transform(head.begin(), head.end(), head.begin(), ::tolower);
    expect_contains(head, "retry-after: ");
  }
  expect_soon([&] { return server->post("/v1/completions", long_body(1, false)).status == 200; },
              "a place in the queue");
  expect_contains(server->get("/metrics").body, "loopbank_requests_running 0\n");
}

TEST_F(ServeFaults, AddressesAndPortsThatCannotBe) {
  const auto open =
      run_program({"serve", "model", "--host", "0.0.0.0", "--port", "0"}, "", folder());
  EXPECT_EQ(open.status, 2);
  EXPECT_EQ(count_of(open.err, "\n"), 1) << open.err;
  expect_contains(open.err, "--api-key");
  const auto server = serve();
  const auto taken =
      run_program({"serve", "model", "--port", std::to_string(server->port())}, "", folder());
  EXPECT_EQ(taken.status, 2);
  EXPECT_EQ(count_of(taken.err, "\n"), 1) << taken.err;
  expect_contains(taken.err, std::to_string(server->port()));
}

TEST_F(ServeFaults, NeitherKeysNorPromptsAreLogged) {
  const std::string body = R"({"prompt":"my diary","max_tokens":2})";
  for (const bool logs_prompts : {false, true}) {
    auto flags = std::vector<std::string>{"--api-key", "sesame-5151"};
    if (logs_prompts) {
      flags.emplace_back("--log-prompts");
    }
    const auto server = serve(flags);
    EXPECT_EQ(server->post("/v1/completions", body).status, 401);
    const auto wrong = server->post("/v1/completions", body, "authorization: Bearer guess-77\r\n");
    expect_error_object(wrong, 401);
    EXPECT_EQ(wrong.body.find("sesame"), std::string::npos) << wrong.body;
    EXPECT_EQ(server->post("/v1/completions", body, "authorization: Bearer sesame-5151\r\n").status,
              200);
    server->signal(SIGTERM);
    EXPECT_EQ(server->wait(10.0), 0);
    const auto log =
        server->err() + content_of(folder() / fmt::format("serve-{}.out", num_servers_ - 1));
    EXPECT_EQ(log.find("sesame"), std::string::npos) << log;
    EXPECT_EQ(log.find("guess-77"), std::string::npos) << log;
    EXPECT_EQ(log.find("my diary") != std::string::npos, logs_prompts) << log;
    EXPECT_GE(count_of(log, "401"), 2) << log;  // or it would not be the log of these requests
  }
}

/// Asks again and again while others do harm.
class NormalClient {
 public:
  explicit NormalClient(const ServeProcess& server)
      : thread_([this, &server] {
          while (goes_on_) {
            const Stopwatch watch;
            const auto answer = server.post("/v1/completions", long_body(4, false));
            slowest_ = std::max(slowest_, watch.seconds());
            ++(answer.status == 200 ? answered_ : others_);
          }
        }) {}
  ~NormalClient() { stop(); }

  void stop() {
    goes_on_ = false;
    if (thread_.joinable()) {
      thread_.join();
    }
  }
  [[nodiscard]] int64_t answered() const { return answered_; }
  [[nodiscard]] int64_t others() const { return others_; }
  [[nodiscard]] double slowest() const { return slowest_; }

 private:
  std::atomic<bool> goes_on_ = true;
  std::atomic<int64_t> answered_ = 0;
  std::atomic<int64_t> others_ = 0;
  double slowest_ = 0.0;
  std::thread thread_;  // last: uses the others
};

/// As many connections as files may be open, but for some; 10,000 at most.
std::vector<TestSocket> many_connections(const ServeProcess& server) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const auto most = std::min<rlim_t>(10000, files.rlim_cur - std::min<rlim_t>(files.rlim_cur, 200));
  std::vector<TestSocket> sockets;
  for (rlim_t i = 0; i < most; ++i) {
    sockets.emplace_back(server.port());
    if (!sockets.back().is_open()) {
      ADD_FAILURE() << "connection " << i << " was refused";
      break;
    }
    if (i % 3 == 1) {
      sockets.back().send("POST /v1/completions HT");  // and nothing more
    }
  }
  return sockets;
}

/// A body of 1 GB in chunks, until the server has enough.
/// @return what it says
std::string send_endless_body(const ServeProcess& server) {
  TestSocket socket(server.port());
  socket.send(
      "POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n");
  const std::string chunk = fmt::format("{:x}\r\n{}\r\n", 1 << 20, std::string(1 << 20, 'a'));
  for (int sent = 0; sent < 1024 && socket.send(chunk); ++sent) {
    if (const auto text = socket.receive_until(kEndOfHead, 0.001); !text.empty()) {
      return text;
    }
  }
  return socket.receive_all(5.0);
}

TEST_F(ServeFaults, HostileClientsHarmNobody) {
  const auto server = serve();
  EXPECT_EQ(server->post("/v1/completions", long_body(4, false)).status, 200);  // warm
  const auto before = server->resident_bytes();
  NormalClient normal(*server);
  TestSocket slow(server->port());
  std::atomic<bool> drips = true;
  std::thread dripping([&] {
    for (const char byte : std::string("POST /v1/completions HTTP/1.1\r\n")) {
      const std::string_view one(&byte, 1);
      if (!drips || !slow.send(one)) {
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  {
    const auto sockets = many_connections(*server);
    expect_contains(send_endless_body(*server), "HTTP/1.1 413");
    const std::string head =
        "POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n";
    expect_error_object(server->exchange(head + "content-length: 1073741824\r\n\r\n{"), 413);
    expect_error_object(
        server->exchange(head + "transfer-encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n"), 400);
    expect_error_object(server->post("/v1/completions", "{\"prompt\":\"\xff\xfe\"}"), 400);
    expect_error_object(
        server->post("/v1/completions", std::string(100000, '[') + std::string(100000, ']')), 400);
    expect_error_object(server->post("/v1/completions", "{\"prompt\":" + std::string(100000, '[')),
                        400);
    EXPECT_EQ(server->get("/health").status, 200);
    // Connections take some kilobytes each, and no body more than the largest that is taken.
    EXPECT_LT(server->resident_bytes() - before, 200 << 20);
  }
  drips = false;
  dripping.join();
  normal.stop();
  EXPECT_GT(normal.answered(), 10);
  EXPECT_EQ(normal.others(), 0);
  EXPECT_LT(normal.slowest(), 2.0);
  server->signal(SIGTERM);
  EXPECT_EQ(server->wait(10.0), 0) << server->err();
}

}  // namespace
}  // namespace loopbank::testing
