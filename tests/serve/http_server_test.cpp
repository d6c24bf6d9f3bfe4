#include "loopbank/serve/http/http_server.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http_socket.h"
#include "loopbank/serve/http/api_error.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

using Answer = std::shared_ptr<HttpAnswer>;

const std::string kGet = "GET / HTTP/1.1\r\n\r\n";

/// Answers with the method, the path and the body; holds back the answers to /hold.
class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest()
      : server_({.port = 0}, [this](HttpRequest request, const Answer& answer) {
          if (request.path == "/hold") {
            const std::lock_guard lock(mutex_);
            held_.push_back(answer);
            arrived_.notify_all();
          } else {
            answer->send({.body = request.method + " " + request.path + " " + request.body});
          }
        }) {
    server_.start();
  }

  /// A client whose request is being answered, and its answer.
  std::pair<HttpSocket, Answer> held(const std::string& version = "1.1") {
    HttpSocket socket(server_.port());
    socket.send("GET /hold HTTP/" + version + "\r\n\r\n");
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, std::chrono::seconds(5), [this] { return !held_.empty(); });
    auto answer = held_.at(0);
    held_.clear();
    return {std::move(socket), std::move(answer)};
  }

  std::mutex mutex_{};
  std::condition_variable arrived_{};
  std::vector<Answer> held_{};
  HttpServer server_;
};

TEST_F(HttpServerTest, AnswersOneRequestBehindTheOther) {
  HttpSocket socket(server_.port());
  for (int i = 0; i < 3; ++i) {
    socket.send("POST /a?b HTTP/1.1\r\nX-Request-Id: r1\r\nContent-Length: 2\r\n\r\nhi");
    const auto reply = socket.receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 200);
    EXPECT_EQ(reply->body, "POST /a hi");
    EXPECT_EQ(reply->headers.at("x-request-id"), "r1");
    EXPECT_EQ(reply->headers.at("content-type"), "application/json");
    EXPECT_EQ(reply->headers.count("connection"), 0U);
  }
  EXPECT_EQ(server_.counts().connections, 1);
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  HttpSocket socket(server_.port());
  std::string requests;
  for (int i = 0; i < 3000; ++i) {
    requests += "GET /" + std::to_string(i) + " HTTP/1.1\r\n\r\n";
  }
  socket.send(requests);
  for (int i = 0; i < 3000; ++i) {
    const auto reply = socket.receive();
    ASSERT_TRUE(reply) << i;
    ASSERT_EQ(reply->body, "GET /" + std::to_string(i) + " ");
  }
}

TEST_F(HttpServerTest, SendsTheHeadAloneWhereThatIsAskedFor) {
  HttpSocket socket(server_.port());
  socket.send("HEAD /x HTTP/1.1\r\n\r\n" + kGet);
  EXPECT_EQ(socket.receive(true)->headers.at("content-length"), "8");
  EXPECT_EQ(socket.receive()->body, "GET / ");
}

TEST_F(HttpServerTest, LeavesTheMethodToTheHandler) {
  EXPECT_EQ(http_reply(server_.port(), "BREW /pot HTTP/1.1\r\n\r\n").body, "BREW /pot ");
}

TEST_F(HttpServerTest, AsksForTheBodyOfWhoWaitsForIt) {
  HttpSocket socket(server_.port());
  socket.send("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(socket.receive()->status, 100);
  socket.send("hi");
  EXPECT_EQ(socket.receive()->body, "POST / hi");
}

TEST_F(HttpServerTest, ClosesWhereTheClientAsksForIt) {
  HttpSocket socket(server_.port());
  socket.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(socket.receive()->headers.at("connection"), "close");
  EXPECT_TRUE(socket.is_closed_within(5));
}

TEST_F(HttpServerTest, StreamsInChunksAsTheyAreWritten) {
  auto [socket, answer] = held();
  answer->begin_stream({.content_type = "text/event-stream", .body = "first"});
  ASSERT_TRUE(socket.read_until("5\r\nfirst\r\n"));
  answer->write("");  // would be the end
  answer->write("second");
  ASSERT_TRUE(socket.read_until("6\r\nsecond\r\n"));
  answer->end();
  const auto reply = socket.receive();
  EXPECT_TRUE(reply->is_whole);
  EXPECT_EQ(reply->body, "firstsecond");
  EXPECT_EQ(reply->headers.at("transfer-encoding"), "chunked");
  socket.send(kGet);
  EXPECT_EQ(socket.receive()->body, "GET / ");
}

TEST_F(HttpServerTest, EndsAStreamToAnOldClientByClosing) {
  auto [socket, answer] = held("1.0");
  answer->begin_stream({});
  answer->write("plain");
  answer->end();
  const auto reply = socket.receive();
  EXPECT_TRUE(reply->is_whole);
  EXPECT_EQ(reply->body, "plain");
  EXPECT_EQ(reply->headers.count("transfer-encoding"), 0U);
}

TEST_F(HttpServerTest, KeepsTheConnectionOfAnOldClientThatAsks) {
  HttpSocket socket(server_.port());
  for (int i = 0; i < 2; ++i) {
    socket.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(socket.receive()->headers.at("connection"), "keep-alive");
  }
  socket.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(socket.receive()->headers.at("connection"), "close");
  EXPECT_TRUE(socket.is_closed_within(5));
}

TEST_F(HttpServerTest, TakesAnswersFromManyThreads) {
  auto [socket, answer] = held();
  answer->begin_stream({});
  std::vector<std::thread> writers;
  for (int t = 0; t < 4; ++t) {
    writers.emplace_back([a = answer] {
      for (int i = 0; i < 500; ++i) {
        a->write("0123456789");
      }
    });
  }
  for (auto& writer : writers) {
    writer.join();
  }
  answer->end();
  const auto reply = socket.receive();
  EXPECT_TRUE(reply->is_whole);
  EXPECT_EQ(reply->body.size(), 4U * 500 * 10);
}

/// Milliseconds from `leave` until a held answer hears of it, negative where it never does.
double ms_until_gone(HttpAnswer& answer, const std::function<void()>& leave) {
  std::atomic<bool> is_gone{false};
  answer.on_gone([&] { is_gone = true; });
  EXPECT_FALSE(is_gone);
  const auto start = std::chrono::steady_clock::now();
  leave();
  const bool came = comes_true([&] { return is_gone.load(); });
  const std::chrono::duration<double, std::milli> ms = std::chrono::steady_clock::now() - start;
  return came ? ms.count() : -1.0;
}

TEST_F(HttpServerTest, TellsThatTheClientHasGone) {
  for (const bool is_stream : {false, true}) {
    for (const bool is_reset : {false, true}) {
      double best = 1e9;
      for (int attempt = 0; attempt < 5; ++attempt) {
        auto [socket, answer] = held();
        if (is_stream) {
          answer->begin_stream({.body = "x"});
          ASSERT_TRUE(socket.read_until("x\r\n"));
        }
        auto& leaving = socket;
        const double ms =
            ms_until_gone(*answer, [&] { is_reset ? leaving.reset() : leaving.close(); });
        ASSERT_GE(ms, 0.0);
        best = std::min(best, ms);
        bool again = false;
        answer->on_gone([&] { again = true; });
        EXPECT_TRUE(again) << "who asks late is told at once";
        answer->write("into the void");
        answer->end();
      }
      EXPECT_LT(best, 50.0) << is_stream << is_reset;
    }
  }
  EXPECT_TRUE(comes_true([this] { return server_.counts().connections == 0; }));
}

TEST_F(HttpServerTest, SeesAClientGoBehindPipelinedRequests) {
  auto [socket, answer] = held();
  socket.send(kGet + kGet);
  auto& leaving = socket;
  EXPECT_GE(ms_until_gone(*answer, [&] { leaving.close(); }), 0.0);
}

TEST_F(HttpServerTest, StillAnswersWhoHasOnlyStoppedSending) {
  HttpSocket socket(server_.port());
  socket.send(kGet + "GET /2 HTTP/1.1\r\n\r\n");
  socket.end_sending();
  EXPECT_EQ(socket.receive()->body, "GET / ");
  EXPECT_EQ(socket.receive()->body, "GET /2 ");
  EXPECT_TRUE(socket.is_closed_within(5));
}

TEST_F(HttpServerTest, SaysSoWhereNobodyAnswers) {
  auto [socket, answer] = held();
  answer.reset();
  EXPECT_EQ(socket.receive()->status, 500);
  auto [streaming, stream] = held();
  stream->begin_stream({.body = "x"});
  stream.reset();
  EXPECT_FALSE(streaming.receive()->is_whole);
  EXPECT_TRUE(streaming.is_closed_within(5));
}

TEST_F(HttpServerTest, LetsGoOfWhoAsksBehindTheAnswer) {
  auto [socket, answer] = held();
  answer->send({});
  ASSERT_TRUE(socket.receive());
  ASSERT_TRUE(server_.wait_answered(5));
  const std::weak_ptr<HttpAnswer> watched = answer;
  answer->on_gone([keep = answer] {});
  answer.reset();
  EXPECT_TRUE(watched.expired());
}

TEST_F(HttpServerTest, EndsWithAnAnswerStillHeld) {
  auto [socket, answer] = held();
  bool is_gone = false;
  // Holds itself, as a careless handler may do.
  answer->on_gone([&is_gone, keep = answer] { is_gone = true; });
  server_.stop();
  EXPECT_TRUE(is_gone);
  answer->send({});
  EXPECT_TRUE(socket.is_closed_within(5));
}

TEST_F(HttpServerTest, FinishesWhatRunsBeforeItEnds) {
  auto [socket, answer] = held();
  HttpSocket idle(server_.port());
  HttpSocket half(server_.port());
  half.send("GET / HT");
  ASSERT_TRUE(comes_true([this] { return server_.counts().connections == 3; }));
  server_.stop_accepting();
  EXPECT_THROW(HttpSocket(server_.port()), std::runtime_error);
  EXPECT_TRUE(idle.is_closed_within(5));
  const auto refused = half.receive();
  EXPECT_TRUE(!refused || refused->status == 503);
  EXPECT_FALSE(server_.wait_answered(0.02));
  answer->send({.body = "done"});
  EXPECT_TRUE(server_.wait_answered(5));
  const auto reply = socket.receive();
  EXPECT_EQ(reply->body, "done");
  EXPECT_EQ(reply->headers.at("connection"), "close");
  EXPECT_TRUE(socket.is_closed_within(5));
}

TEST(HttpServerErrorsTest, AHandlersErrorsBecomeAnswers) {
  HttpServer server({.port = 0}, [](const HttpRequest& request, const Answer&) {
    if (request.path == "/api") {
      throw ApiError(404, "there is none");
    }
    if (request.path == "/library") {
      fail(ErrorCode::kConfig, "that will not do.");
    }
    throw std::runtime_error("oh");
  });
  server.start();
  EXPECT_EQ(http_reply(server.port(), "GET /api HTTP/1.1\r\n\r\n").status, 404);
  EXPECT_EQ(http_reply(server.port(), "GET /library HTTP/1.1\r\n\r\n").status, 400);
  EXPECT_EQ(http_reply(server.port(), "GET /other HTTP/1.1\r\n\r\n").status, 500);
}

void expect_bind_error(const HttpOptions& options, const std::string& text) {
  try {
    HttpServer server(options, {});
    FAIL() << "bound";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kConfig);
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

TEST(HttpServerErrorsTest, SaysWhyAnAddressCannotBeTaken) {
  const HttpServer taken({.host = "localhost", .port = 0}, {});
  expect_bind_error({.port = taken.port()},
                    "--port: expected a port that is free on 127.0.0.1, got " +
                        std::to_string(taken.port()) + ", which is in use.");
  expect_bind_error({.port = 65536}, "--port: expected 0 to 65535, got 65536.");
  expect_bind_error({.host = "192.0.2.1", .port = 0},
                    "--host: expected an address of this machine");
  expect_bind_error({.host = "no host", .port = 0}, "--host: expected an address of this machine");
}

}  // namespace
}  // namespace loopbank
