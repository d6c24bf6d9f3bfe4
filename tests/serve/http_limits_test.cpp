#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http_socket.h"
#include "loopbank/serve/http/http_server.h"

namespace loopbank {
namespace {

using Seconds = std::chrono::duration<double>;

const std::string kAsk = "GET / HTTP/1.1\r\n\r\n";

/// What a request to /flood streams; all others are answered by the length of their body. /hold is
/// answered never.
class LimitedServer {
 public:
  explicit LimitedServer(HttpOptions options = {}) : server_(with_free_port(options), handler()) {
    server_.start();
  }
  ~LimitedServer() {
    server_.stop();
    for (auto& writer : writers_) {
      writer.join();
    }
  }
  LimitedServer(const LimitedServer&) = delete;
  LimitedServer& operator=(const LimitedServer&) = delete;

  [[nodiscard]] int64_t port() const { return server_.port(); }
  [[nodiscard]] int64_t connections() const { return server_.counts().connections; }
  [[nodiscard]] int64_t refused() const { return server_.counts().refused; }
  [[nodiscard]] bool is_well() const { return http_reply(port(), kAsk).status == 200; }
  /// Of floods: bytes given to write until the client was said to be gone.
  std::atomic<size_t> flooded{0};
  std::atomic<int> num_gone{0};
  std::atomic<int> num_held{0};

 private:
  static HttpOptions with_free_port(HttpOptions options) {
    options.port = 0;
    return options;
  }

  HttpHandler handler() {
    return [this](const HttpRequest& request, const std::shared_ptr<HttpAnswer>& answer) {
      if (request.path == "/flood") {
        writers_.emplace_back([this, answer] { flood(*answer); });
      } else if (request.path == "/trickle") {
        answer->on_gone([this] { ++num_gone; });
        answer->begin_stream({});
        answer->write(std::string(size_t{6} << 20, 'x'));  // more than a socket's buffers
        held_.push_back(answer);
      } else if (request.path == "/hold") {
        answer->on_gone([this] { ++num_gone; });
        held_.push_back(answer);
        ++num_held;
      } else {
        answer->send({.body = std::to_string(request.body.size())});
      }
    };
  }

  void flood(HttpAnswer& answer) {
    std::atomic<bool> is_gone{false};
    answer.on_gone([&] { is_gone = true; });
    answer.begin_stream({});
    while (!is_gone) {
      answer.write(std::string(1 << 16, 'x'));
      flooded += 1 << 16;
      std::this_thread::yield();
    }
    ++num_gone;
  }

  std::vector<std::thread> writers_{};
  std::vector<std::shared_ptr<HttpAnswer>> held_{};
  HttpServer server_;
};

TEST(HttpLimitsTest, ErrorsHaveTheBodyOfTheApi) {
  const LimitedServer server;
  const auto reply = http_reply(server.port(), "nonsense\r\n\r\n");
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.headers.at("connection"), "close");
  EXPECT_EQ(reply.headers.at("x-request-id").size(), 16U);
  const auto error = nlohmann::json::parse(reply.body)["error"];
  EXPECT_EQ(error["type"], "invalid_request_error");
  EXPECT_EQ(error["code"], "malformed_request");
}

TEST(HttpLimitsTest, AnErrorNamesTheRequestOfTheClient) {
  const LimitedServer server({.largest_body = 10});
  const auto reply = http_reply(
      server.port(), "POST / HTTP/1.1\r\nX-Request-Id: mine\r\nContent-Length: 11\r\n\r\n");
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(reply.headers.at("x-request-id"), "mine");
}

TEST(HttpLimitsTest, RefusesALargeBodyThatIsStillBeingSent) {
  const LimitedServer server({.largest_body = 1000});
  for (const std::string framing : {"Content-Length: 40000000", "Transfer-Encoding: chunked"}) {
    HttpSocket socket(server.port());
    socket.send("POST / HTTP/1.1\r\n" + framing + "\r\n\r\n2625a00\r\n");
    // A client that reads nothing before it has sent all.
    EXPECT_TRUE(socket.send(std::string(40000000, 'x')));
    const auto reply = socket.receive();
    ASSERT_TRUE(reply) << framing;
    EXPECT_EQ(reply->status, 413);
  }
  EXPECT_TRUE(server.is_well());
}

TEST(HttpLimitsTest, AsksForNoBodyThatIsTooLarge) {
  const LimitedServer server({.largest_body = 1000});
  const auto reply =
      http_reply(server.port(),
                 "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1000000000\r\n\r\n");
  EXPECT_EQ(reply.status, 413);
}

TEST(HttpLimitsTest, TakesABodyOfExactlyTheLimit) {
  const LimitedServer server({.largest_body = 1000000});
  EXPECT_EQ(http_reply(server.port(), "POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" +
                                          std::string(1000000, 'x'))
                .body,
            "1000000");
}

TEST(HttpLimitsTest, BoundsTheBodiesOfAllRequestsTogether) {
  const LimitedServer server({.most_body_bytes = 4000000});
  const std::string ask = "POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n";
  std::vector<HttpSocket> sockets;
  for (int i = 0; i < 4; ++i) {
    sockets.emplace_back(server.port());
    sockets.back().send(ask + std::string(999999, 'x'));
  }
  const auto small = [&] {
    return http_reply(server.port(),
                      "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n" + std::string(10, 'x'));
  };
  ASSERT_TRUE(comes_true([&] { return small().status == 503; }));
  EXPECT_EQ(small().headers.at("retry-after"), "1");
  sockets.back().send("x");
  EXPECT_EQ(sockets.back().receive()->body, "1000000");
  EXPECT_EQ(small().status, 200);  // the room is free again
  sockets.front().reset();
  ASSERT_TRUE(comes_true([&] { return server.connections() <= 3; }));
  EXPECT_EQ(http_reply(server.port(), ask + std::string(1000000, 'x')).status, 200);
}

TEST(HttpLimitsTest, EndsAHeadThatComesAByteAtATime) {
  const LimitedServer server({.header_seconds = 0.2});
  HttpSocket slow(server.port());
  const auto start = std::chrono::steady_clock::now();
  while (slow.send("G") && Seconds(std::chrono::steady_clock::now() - start).count() < 0.5) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(slow.receive()->status, 408);
}

TEST(HttpLimitsTest, EndsABodyThatComesAByteAtATime) {
  const LimitedServer server({.body_seconds = 0.2});
  HttpSocket slow(server.port());
  slow.send("POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n");
  const auto start = std::chrono::steady_clock::now();
  while (slow.send("x") && Seconds(std::chrono::steady_clock::now() - start).count() < 0.5) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(slow.receive()->status, 408);
}

TEST(HttpLimitsTest, EndsAnIdleConnectionWithoutAWord) {
  const LimitedServer server({.idle_seconds = 0.1});
  HttpSocket fresh(server.port());
  HttpSocket used(server.port());
  used.send(kAsk);
  EXPECT_EQ(used.receive()->status, 200);
  EXPECT_TRUE(fresh.is_closed_within(5));
  EXPECT_TRUE(used.is_closed_within(5));
  EXPECT_TRUE(fresh.unread().empty());
  EXPECT_TRUE(used.unread().empty());
}

TEST(HttpLimitsTest, AnAnswerMayTakeLongerThanAllLimits) {
  LimitedServer server(
      {.header_seconds = 0.05, .body_seconds = 0.05, .idle_seconds = 0.05, .write_seconds = 0.05});
  HttpSocket patient(server.port());
  patient.send("GET /hold HTTP/1.1\r\n\r\n");
  EXPECT_FALSE(patient.is_closed_within(0.3));
  EXPECT_EQ(server.num_gone, 0);
}

TEST(HttpLimitsTest, ClosesAStreamOfWhichNothingIsTaken) {
  LimitedServer server({.write_seconds = 0.2});
  HttpSocket socket(server.port(), 4096);
  socket.send("GET /trickle HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(comes_true([&] { return server.num_gone == 1; }));
}

TEST(HttpLimitsTest, ClosesAStreamThatLeavesTooMuchUnsent) {
  LimitedServer server;  // 30 s to take a byte
  HttpSocket socket(server.port(), 4096);
  socket.send("GET /flood HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(comes_true([&] { return server.num_gone == 1; }));
  EXPECT_GE(server.flooded, size_t{8} << 20);
  EXPECT_TRUE(server.is_well());
}

TEST(HttpLimitsTest, GivesTheRoomOfTheLongestIdleConnection) {
  const LimitedServer server({.most_connections = 3});
  HttpSocket first(server.port());
  first.send(kAsk);
  EXPECT_EQ(first.receive()->status, 200);
  HttpSocket second(server.port());
  HttpSocket third(server.port());
  ASSERT_TRUE(comes_true([&] { return server.connections() == 3; }));
  HttpSocket fourth(server.port());
  EXPECT_TRUE(first.is_closed_within(5));
  for (auto* other : {&second, &third, &fourth}) {
    other->send(kAsk);
    EXPECT_EQ(other->receive()->status, 200);
  }
  EXPECT_EQ(server.connections(), 3);
  EXPECT_EQ(server.refused(), 0);
}

TEST(HttpLimitsTest, TurnsAwayWhereAllAreAtWork) {
  LimitedServer server({.most_connections = 2});
  HttpSocket first(server.port());
  HttpSocket second(server.port());
  first.send("GET /hold HTTP/1.1\r\n\r\n");
  second.send("GET /hold HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(comes_true([&] { return server.num_held == 2; }));
  const auto reply = http_reply(server.port(), kAsk);
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.headers.at("retry-after"), "1");
  EXPECT_EQ(server.refused(), 1);
  first.close();
  EXPECT_TRUE(comes_true([&] { return server.num_gone == 1; }));
}

TEST(HttpLimitsTest, DoesNotSpinWhereNoFileIsLeft) {
  const LimitedServer server;  // raises the limit first
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  HttpSocket waiting(server.port());
  ASSERT_TRUE(comes_true([&] { return server.connections() == 1; }));
  HttpSocket late(server.port());
  ASSERT_TRUE(comes_true([&] { return server.connections() == 2; }));
  const rlimit low{.rlim_cur = 0, .rlim_max = before.rlim_max};
  // Sockets that are open already stay so; the server's accept fails from here on.
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  setrlimit(RLIMIT_NOFILE, &low);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(server.port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const auto cpu = [] {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
  };
  const double start = cpu();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(cpu() - start, 0.15);
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(waiting.is_closed_within(5));  // makes room
  EXPECT_EQ(::send(fd, kAsk.data(), kAsk.size(), MSG_NOSIGNAL), static_cast<ssize_t>(kAsk.size()));
  char byte = 0;
  EXPECT_EQ(recv(fd, &byte, 1, 0), 1);
  close(fd);
}

TEST(HttpLimitsTest, TwoThousandIdleConnectionsHinderNobody) {
  const LimitedServer server;
  std::vector<HttpSocket> idle;
  for (int i = 0; i < 2000; ++i) {
    idle.emplace_back(server.port());
  }
  ASSERT_TRUE(comes_true([&] { return server.connections() == 2000; }));
  EXPECT_TRUE(server.is_well());
  for (auto& socket : idle) {
    socket.send("GET / HTTP/1.1\r\n");
  }
  EXPECT_TRUE(server.is_well());
  for (auto& socket : idle) {
    socket.send("\r\n");
  }
  for (auto& socket : idle) {
    ASSERT_EQ(socket.receive()->status, 200);
  }
  EXPECT_EQ(server.connections(), 2000);
}

TEST(HttpLimitsTest, RandomBytesHarmNobody) {
  const LimitedServer server;
  std::mt19937 random(20);
  const std::vector<std::string> pieces = {"GET ",
                                           "POST ",
                                           "/",
                                           " HTTP/1.1",
                                           "\r\n",
                                           "\r\n\r\n",
                                           "Content-Length: ",
                                           "5",
                                           "a",
                                           ": ",
                                           "Transfer-Encoding: chunked",
                                           "\n",
                                           "0\r\n\r\n",
                                           "\xff",
                                           "Expect: 100-continue",
                                           ";",
                                           std::string(1, '\0')};
  for (int i = 0; i < 500; ++i) {
    HttpSocket socket(server.port());
    std::string bytes;
    while (random() % 16 != 0) {
      bytes += random() % 4 == 0 ? std::string(1 + random() % 50, static_cast<char>(random()))
                                 : pieces[random() % pieces.size()];
    }
    socket.send(bytes);
    if (random() % 2 == 0) {
      socket.end_sending();
      EXPECT_TRUE(socket.is_closed_within(5)) << i;
    }
  }
  EXPECT_TRUE(server.is_well());
  EXPECT_TRUE(comes_true([&] { return server.connections() == 0; }));
}

}  // namespace
}  // namespace loopbank
