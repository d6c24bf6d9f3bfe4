#pragma once
/// Requests of HTTP/1.1 for tests of the whole server, each over a connection of its own.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/serve/http_socket.h"

namespace loopbank::testing {

struct PlainRequest {
  std::string method = "GET";
  std::string path = "/";
  std::string body{};
  std::map<std::string, std::string> headers{};

  /// As it is sent; the connection closes behind the answer.
  [[nodiscard]] std::string text() const;
};

HttpReply ask(int64_t port, const PlainRequest& request);

/// What stands behind `data: ` of each event of a stream.
[[nodiscard]] std::vector<std::string> events_of(const HttpReply& reply);

}  // namespace loopbank::testing
