#pragma once
/// What the HTTP transport (http_server.h) and those who answer requests tell each other. Whoever
/// answers sees no socket, so that all of the API is tested without one.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loopbank {

struct HttpRequest {
  std::string id{};      ///< of x-request-id: the client's own where it gives one, else a new one
  std::string method{};  ///< `GET`, `POST`, ...
  std::string path{};    ///< `/v1/completions`, as sent (`%20` stays), without what follows `?`
  std::map<std::string, std::string, std::less<>> headers{};  ///< names in lower case
  std::string body{};
  std::string peer{};  ///< address of the client, without its port

  /// The value of a header, empty where there is none.
  /// @param name  in lower case
  [[nodiscard]] std::string_view header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{};  ///< beside those of the transport
};

/// The answer to one request: whole, or as a stream. Every function may be called from any thread and
/// returns at once; what is given for a client that has gone is dropped. To a HEAD the head alone is
/// sent. An answer that is let go of unanswered becomes a 500, a stream without its `end` breaks off.
class HttpAnswer {
 public:
  HttpAnswer() = default;
  HttpAnswer(const HttpAnswer&) = delete;
  HttpAnswer& operator=(const HttpAnswer&) = delete;
  virtual ~HttpAnswer() = default;

  virtual void send(HttpResponse response) = 0;
  /// Sends the head, and the body so far where there is some; `write` and `end` follow.
  virtual void begin_stream(HttpResponse head) = 0;
  virtual void write(std::string bytes) = 0;
  virtual void end() = 0;
  /// Calls `gone` once if the client closes its connection before the answer is whole; at once if it
  /// has done so already. It runs on a thread of the transport and must not block. A client that only
  /// closes its sending side looks the same and counts as gone; what is answered all the same, it gets.
  virtual void on_gone(std::function<void()> gone) = 0;
};

/// Answers a request now or later. It runs on a thread of the transport and must not block for long.
using HttpHandler = std::function<void(HttpRequest request, std::shared_ptr<HttpAnswer> answer)>;

}  // namespace loopbank
