#include "http_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <stdexcept>

namespace loopbank {
namespace {

HttpReply reply_head(std::string_view head) {
  HttpReply reply;
  reply.status = std::stoi(std::string(head.substr(head.find(' ') + 1, 3)));
  size_t at = head.find("\r\n") + 2;
  while (at < head.size()) {
    const auto line = head.substr(at, head.find("\r\n", at) - at);
    std::string name(line.substr(0, line.find(':')));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    reply.headers[name] = line.substr(line.find(':') + 2);
    at += line.size() + 2;
  }
  return reply;
}

}  // namespace

HttpSocket::HttpSocket(int64_t port, int receive_bytes) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
  if (receive_bytes > 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    throw std::runtime_error("the server takes no connection");
  }
}

HttpSocket::~HttpSocket() {
  close();
}

bool HttpSocket::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      return false;
    }
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

std::optional<HttpReply> HttpSocket::receive(bool is_head) {
  if (!read_until("\r\n\r\n")) {
    return std::nullopt;
  }
  const size_t end = unread_.find("\r\n\r\n") + 4;
  HttpReply reply = reply_head(std::string_view(unread_).substr(0, end - 2));
  unread_.erase(0, end);
  if (is_head || reply.status < 200) {
    reply.is_whole = true;
  } else if (reply.headers.count("transfer-encoding") != 0) {
    while (read_until("\r\n")) {
      const size_t line = unread_.find("\r\n");
      const size_t size = std::stoul(unread_, nullptr, 16);
      while (unread_.size() < line + 2 + size + 2) {
        if (!read_more()) {
          return reply;
        }
      }
      reply.body += unread_.substr(line + 2, size);
      unread_.erase(0, line + 2 + size + 2);
      if (size == 0) {
        reply.is_whole = true;
        break;
      }
    }
  } else {
    const auto length = reply.headers.find("content-length");
    const size_t size = length == reply.headers.end() ? SIZE_MAX : std::stoul(length->second);
    while (unread_.size() < size && read_more()) {
    }
    reply.is_whole = length != reply.headers.end() ? unread_.size() >= size : has_ended_;
    reply.body = unread_.substr(0, size);
    unread_.erase(0, size);
  }
  return reply;
}

bool HttpSocket::read_until(std::string_view mark) {
  while (unread_.find(mark) == std::string::npos) {
    if (!read_more()) {
      return false;
    }
  }
  return true;
}

bool HttpSocket::is_closed_within(double seconds) {
  while (read_more(seconds)) {
  }
  return has_ended_;
}

void HttpSocket::end_sending() {
  shutdown(fd_, SHUT_WR);
}

void HttpSocket::close() {
  if (fd_ >= 0) {
    ::close(fd_);
    fd_ = -1;
  }
}

void HttpSocket::reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close();
}

bool HttpSocket::read_more(double seconds) {
  pollfd wanted{.fd = fd_, .events = POLLIN, .revents = 0};
  if (has_ended_ || poll(&wanted, 1, static_cast<int>(seconds * 1000)) <= 0) {
    return false;
  }
  char bytes[65536];
  const auto size = recv(fd_, bytes, sizeof(bytes), 0);
  if (size <= 0) {
    has_ended_ = true;
    return false;
  }
  unread_.append(bytes, static_cast<size_t>(size));
  return true;
}

HttpReply http_reply(int64_t port, std::string_view request) {
  HttpSocket socket(port);
  socket.send(request);
  return socket.receive().value_or(HttpReply());
}

}  // namespace loopbank
