#include "loopbank/serve/http/http_message.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace loopbank {
namespace {

using Stage = HttpRequestReader::Stage;

constexpr std::string_view kPost =
    "POST /v1/completions?x=1 HTTP/1.1\r\nHost: a\r\nX-Request-Id: my.id-1\r\n"
    "Accept: a\r\nAccept: b\r\nContent-Length: 5\r\n\r\nhello";
constexpr std::string_view kChunkedPost =
    "POST /tokenize HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"
    "3;note=\"x\"\r\nhel\r\n2\r\nlo\r\n0\r\nAuthorization: Bearer late\r\n\r\n";

constexpr std::string_view kShortChunkedPost =
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";

/// The status that a request is refused with; 0: it is not.
int status_of(std::string_view request, size_t largest_body = 100) {
  HttpRequestReader reader(largest_body);
  try {
    reader.put(request);
  } catch (const ApiError& error) {
    return error.status();
  }
  return 0;
}

TEST(HttpRequestReaderTest, TellsWhatAHandlerNeeds) {
  HttpRequestReader reader(100);
  reader.put(kPost);
  ASSERT_EQ(reader.stage(), Stage::kWhole);
  EXPECT_TRUE(reader.keep_alive());
  const auto request = reader.take_request();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/v1/completions");
  EXPECT_EQ(request.id, "my.id-1");
  EXPECT_EQ(request.header("accept"), "a, b");
  EXPECT_EQ(request.body, "hello");
}

TEST(HttpRequestReaderTest, IsTheSameHoweverTheBytesArrive) {
  for (const auto text : {kPost, kChunkedPost, kShortChunkedPost}) {
    for (size_t piece = 1; piece <= text.size(); ++piece) {
      HttpRequestReader reader(100);
      for (size_t at = 0; at < text.size(); at += piece) {
        ASSERT_NE(reader.stage(), Stage::kWhole);
        reader.put(text.substr(at, piece));
      }
      ASSERT_EQ(reader.stage(), Stage::kWhole) << piece;
      EXPECT_TRUE(reader.take_rest().empty());
      EXPECT_EQ(reader.take_request().body, text == kShortChunkedPost ? "" : "hello");
    }
  }
}

TEST(HttpRequestReaderTest, KeepsWhatComesBehind) {
  HttpRequestReader reader(100);
  reader.put("\r\n" + std::string(kPost) + "GET /health HT");
  reader.put("TP/1.1\r\n");
  ASSERT_EQ(reader.stage(), Stage::kWhole);
  EXPECT_EQ(reader.take_rest(), "GET /health HTTP/1.1\r\n");
}

TEST(HttpRequestReaderTest, DropsTheTrailerOfAChunkedBody) {
  HttpRequestReader reader(100);
  reader.put(kChunkedPost);
  EXPECT_EQ(reader.take_request().header("authorization"), "");
}

TEST(HttpRequestReaderTest, MakesAnIdWhereTheClientsOwnIsNone) {
  for (const auto& id : std::vector<std::string>{"", "a b", "x\"y", std::string(129, 'a')}) {
    HttpRequestReader reader(100);
    reader.put("GET / HTTP/1.1\r\nX-Request-Id: " + id + "\r\n\r\n");
    const auto made = reader.take_request().id;
    EXPECT_EQ(made.size(), 16U);
    EXPECT_EQ(made.find_first_not_of("0123456789abcdef"), std::string::npos);
    EXPECT_NE(made, new_request_id());
  }
}

TEST(HttpRequestReaderTest, CutsThePathOutOfTheTarget) {
  const auto path_of_target = [](const std::string& target) {
    HttpRequestReader reader(100);
    reader.put("GET " + target + " HTTP/1.1\r\n\r\n");
    return reader.take_request().path;
  };
  EXPECT_EQ(path_of_target("/a%20b?c=d?e"), "/a%20b");
  EXPECT_EQ(path_of_target("http://host:80/health?x"), "/health");
  EXPECT_EQ(path_of_target("http://host"), "/");
  EXPECT_EQ(path_of_target("*"), "*");
}

TEST(HttpRequestReaderTest, RefusesWhatCouldBeReadInTwoWays) {
  const std::string head = "POST / HTTP/1.1\r\n";
  EXPECT_EQ(status_of(head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(status_of(head + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), 400);
  EXPECT_EQ(status_of(head + "Content-Length: 3\r\nContent-Length: 4\r\n\r\n"), 400);
  for (const char* length : {"-1", "+3", "3x", "0x3", "99999999999999999999999", "1,2", ""}) {
    EXPECT_EQ(status_of(head + "Content-Length: " + length + "\r\n\r\n"), 400) << length;
  }
  EXPECT_EQ(status_of(head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
            400);
  EXPECT_EQ(status_of(head + "Transfer-Encoding: gzip\r\n\r\n"), 501);
  EXPECT_EQ(status_of(head + "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(status_of(head + "Host : a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\nHost: a\n\n"), 400);
  EXPECT_EQ(status_of(head + "Content-Length: 3\r\n\r\nabc"), 0);
}

TEST(HttpRequestReaderTest, RefusesWhatIsNoHttp) {
  EXPECT_EQ(status_of("GET / HTTP/2.0\r\n\r\n"), 505);
  EXPECT_EQ(status_of("\x16\x03\x01\x02\x01"), 400);
  EXPECT_EQ(status_of("GET /a b HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nExpect: the best\r\n\r\n"), 417);
  const std::string chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status_of(chunked + "xyz\r\n"), 400);
  EXPECT_EQ(status_of(chunked + "3\r\nabcdef\r\n"), 400);
  EXPECT_EQ(status_of(chunked + "ffffffffffffffffff\r\n"), 400);
}

TEST(HttpRequestReaderTest, BoundsEveryPart) {
  const std::string long_text(20000, 'a');
  EXPECT_EQ(status_of("GET /" + long_text.substr(0, 9000) + " HTTP/1.1\r\n\r\n"), 414);
  EXPECT_EQ(status_of("GET /" + long_text), 414);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nA: " + long_text), 431);
  std::string many = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 4000; ++i) {
    many += "a: b\r\n";
  }
  EXPECT_EQ(status_of(many), 431);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n"), 413);
  const std::string chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status_of(chunked + "65\r\n"), 413);
  std::string small_chunks = chunked;
  for (int i = 0; i < 51; ++i) {
    small_chunks += "2\r\nab\r\n";
  }
  EXPECT_EQ(status_of(small_chunks), 413);
  EXPECT_EQ(status_of(chunked + "5;" + long_text), 400);
  EXPECT_EQ(status_of(chunked + "0\r\na: " + long_text), 400);
}

TEST(HttpRequestReaderTest, KnowsWhoWaitsForALeaveToSend) {
  const std::string head = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
  HttpRequestReader reader(100);
  reader.put(head);
  EXPECT_TRUE(reader.expects_continue());
  reader.put("a");
  EXPECT_FALSE(reader.expects_continue());
  HttpRequestReader at_once(100);
  at_once.put(head + "abc");
  EXPECT_FALSE(at_once.expects_continue());
}

TEST(HttpHeadTest, LetsNoValueStartALine) {
  const HttpResponse response{.status = 200, .body = "abc", .headers = {{"X-A", "b\r\nX-C: d"}}};
  const auto head = http_head(response, {.id = "i"}, HttpFraming::kLength);
  EXPECT_EQ(head.find("\r\nX-C"), std::string::npos);
  EXPECT_NE(head.find("\r\nContent-Length: 3\r\n"), std::string::npos);
  EXPECT_EQ(head.rfind("HTTP/1.1 200 OK\r\nDate: ", 0), 0U) << head;
  EXPECT_EQ(head.substr(head.size() - 4), "\r\n\r\n");
}

}  // namespace
}  // namespace loopbank
