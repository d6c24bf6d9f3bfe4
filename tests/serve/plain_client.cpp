#include "tests/serve/plain_client.h"

#include <stdexcept>
#include <string_view>

namespace loopbank::testing {

std::string PlainRequest::text() const {
  std::string text = method + " " + path + " HTTP/1.1\r\nConnection: close\r\n";
  if (!headers.contains("Host")) {
    text += "Host: 127.0.0.1\r\n";
  }
  for (const auto& [name, value] : headers) {
    text += name + ": " + value + "\r\n";
  }
  if (!body.empty() || method == "POST") {
    text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  }
  return text + "\r\n" + body;
}

HttpReply ask(int64_t port, const PlainRequest& request) {
  return http_reply(port, request.text());
}

std::vector<std::string> events_of(const HttpReply& reply) {
  constexpr std::string_view kData = "data: ";
  const auto& body = reply.body;
  std::vector<std::string> found;
  for (size_t begin = 0; begin < body.size();) {
    const auto end = body.find("\n\n", begin);
    if (end == std::string::npos || body.compare(begin, kData.size(), kData) != 0) {
      throw std::runtime_error("expected an event, got \"" + body.substr(begin) + "\"");
    }
    found.push_back(body.substr(begin + kData.size(), end - begin - kData.size()));
    begin = end + 2;
  }
  return found;
}

}  // namespace loopbank::testing
