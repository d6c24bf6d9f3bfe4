#include "tests/serve/plain_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <stdexcept>

namespace loopbank::testing {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string dechunked(std::string_view body) {
  std::string whole;
  while (true) {
    const auto end = body.find(kLineEnd);
    if (end == std::string_view::npos) {
      throw std::runtime_error("an answer ends within its chunks");
    }
    const auto size = std::stoul(std::string(body.substr(0, end)), nullptr, 16);
    if (size == 0) {
      return whole;
    }
    whole += body.substr(end + 2, size);
    body.remove_prefix(end + 2 + size + 2);
  }
}

PlainAnswer parse_answer(const std::string& text) {
  const auto head_end = text.find("\r\n\r\n");
  if (head_end == std::string::npos) {
    throw std::runtime_error("expected an answer, got \"" + text.substr(0, 200) + "\"");
  }
  PlainAnswer answer;
  answer.status = std::stoi(text.substr(text.find(' ') + 1));
  for (auto begin = text.find(kLineEnd) + 2; begin < head_end;) {
    const auto end = text.find(kLineEnd, begin);
    const auto colon = text.find(':', begin);
    const auto value = text.find_first_not_of(' ', colon + 1);
    answer.headers[lower(text.substr(begin, colon - begin))] = text.substr(value, end - value);
    begin = end + 2;
  }
  answer.body = text.substr(head_end + 4);
  if (answer.headers["transfer-encoding"] == "chunked") {
    answer.body = dechunked(answer.body);
  }
  return answer;
}

}  // namespace

std::vector<std::string> PlainAnswer::events() const {
  constexpr std::string_view kData = "data: ";
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

PlainConnection::PlainConnection(int64_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval patience{.tv_sec = 60, .tv_usec = 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close();
    throw std::runtime_error("no server listens at port " + std::to_string(port));
  }
}

PlainConnection::~PlainConnection() {
  close();
}

void PlainConnection::close() {
  if (socket_ >= 0) {
    ::close(socket_);
    socket_ = -1;
  }
}

void PlainConnection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      return;  // the server has closed: its answer tells why
    }
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

void PlainConnection::send(const PlainRequest& request) {
  std::string text = request.method + " " + request.path + " HTTP/1.1\r\nConnection: close\r\n";
  if (!request.headers.contains("Host")) {
    text += "Host: 127.0.0.1\r\n";
  }
  for (const auto& [name, value] : request.headers) {
    text += name + ": " + value + "\r\n";
  }
  if (!request.body.empty() || request.method == "POST") {
    text += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  send(text + "\r\n" + request.body);
}

bool PlainConnection::read_some() {
  std::array<char, 16384> bytes{};
  const auto count = ::recv(socket_, bytes.data(), bytes.size(), 0);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    throw std::runtime_error("no answer within a minute");
  }
  received_.append(bytes.data(), count > 0 ? static_cast<size_t>(count) : 0);
  return count > 0;
}

const std::string& PlainConnection::read_until(std::string_view text) {
  while (received_.find(text) == std::string::npos && read_some()) {
  }
  return received_;
}

PlainAnswer PlainConnection::answer() {
  while (read_some()) {
  }
  return parse_answer(received_);
}

PlainAnswer ask(int64_t port, const PlainRequest& request) {
  PlainConnection connection(port);
  connection.send(request);
  return connection.answer();
}

}  // namespace loopbank::testing
