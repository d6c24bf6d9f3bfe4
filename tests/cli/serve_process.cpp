#include "serve_process.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>
#include <utility>

#include "loopbank/support/files.h"
#include "loopbank/support/stopwatch.h"
#include "program.h"

namespace loopbank::testing {
namespace {

constexpr double kServesWithin = 60.0;
constexpr auto kServeLookTime = std::chrono::milliseconds(10);
constexpr int kSendMillis = 10000;

/// What stands behind `key` up to the end of the digits there.
int number_behind(const std::string& text, const std::string& key) {
  const auto found = text.find(key);
  return found == std::string::npos ? 0 : std::atoi(text.c_str() + found + key.size());
}

}  // namespace

TestSocket::TestSocket(int port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket_ >= 0 &&
      ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close();
  }
}

TestSocket::~TestSocket() {
  close();
}

TestSocket::TestSocket(TestSocket&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), was_closed_(other.was_closed_) {}

void TestSocket::close() {
  if (socket_ >= 0) {
    ::close(std::exchange(socket_, -1));
  }
}

bool TestSocket::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    if (!is_open()) {
      return false;
    }
    pollfd look{.fd = socket_, .events = POLLOUT, .revents = 0};
    if (::poll(&look, 1, kSendMillis) != 1) {
      return false;
    }
    const auto count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno != EAGAIN) {
      return false;
    }
    bytes.remove_prefix(count < 0 ? 0 : static_cast<size_t>(count));
  }
  return true;
}

std::string TestSocket::receive_until(std::string_view part, double limit) {
  std::string all;
  std::array<char, 65536> buffer{};
  const Stopwatch watch;
  was_closed_ = was_closed_ || !is_open();
  while (!was_closed_ && (part.empty() || all.find(part) == std::string::npos)) {
    const int left = static_cast<int>(1e3 * (limit - watch.seconds()));
    pollfd look{.fd = socket_, .events = POLLIN, .revents = 0};
    if (left <= 0 || ::poll(&look, 1, left) <= 0) {
      break;
    }
    const auto count = ::recv(socket_, buffer.data(), buffer.size(), 0);
    was_closed_ = count <= 0;
    all.append(buffer.data(), count > 0 ? static_cast<size_t>(count) : 0);
  }
  return all;
}

std::string TestSocket::receive_all(double limit) {
  return receive_until("", limit);
}

std::string post_bytes(std::string_view path, std::string_view body, std::string_view headers) {
  return fmt::format(
      "POST {} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{}"
      "content-length: {}\r\n\r\n{}",
      path, headers, body.size(), body);
}

ServeProcess::ServeProcess(std::filesystem::path directory, std::string name,
                           std::vector<std::string> arguments)
    : directory_(std::move(directory)), name_(std::move(name)) {
  arguments.insert(arguments.begin(), "serve");
  process_ = start_program(std::move(arguments), directory_, name_);
  const Stopwatch watch;
  while (port_ == 0 && watch.seconds() < kServesWithin && !wait(0.0)) {
    std::this_thread::sleep_for(kServeLookTime);
    const auto text = err();
    port_ = text.find('\n') == std::string::npos ? 0 : number_behind(text, " at http://127.0.0.1:");
  }
}

ServeProcess::~ServeProcess() {
  if (!wait(0.0)) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
}

void ServeProcess::signal(int number) const {
  if (!status_) {
    ::kill(process_, number);
  }
}

std::optional<int> ServeProcess::wait(double limit) {
  const Stopwatch watch;
  while (!status_) {
    int status = 0;
    if (::waitpid(process_, &status, WNOHANG) == process_) {
      status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    } else if (watch.seconds() >= limit) {
      break;
    } else {
      std::this_thread::sleep_for(kServeLookTime);
    }
  }
  return status_;
}

std::string ServeProcess::err() const {
  const auto path = directory_ / (name_ + ".err");
  return std::filesystem::exists(path) ? read_file(path) : "";
}

int64_t ServeProcess::resident_bytes() const {
  std::ifstream file(fmt::format("/proc/{}/statm", process_));
  int64_t pages = 0;
  int64_t resident = 0;
  file >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

TestAnswer ServeProcess::exchange(std::string_view bytes, double limit) const {
  TestSocket socket(port_);
  socket.send(bytes);  // the server may have answered before it read all
  const auto text = socket.receive_all(limit);
  const auto end = text.find("\r\n\r\n");
  if (end == std::string::npos) {
    return {};
  }
  return {.status = number_behind(text, "HTTP/1.1 "),
          .head = text.substr(0, end),
          .body = text.substr(end + 4)};
}

TestAnswer ServeProcess::get(std::string_view path) const {
  return exchange(
      fmt::format("GET {} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n", path));
}

TestAnswer ServeProcess::post(std::string_view path, std::string_view body,
                              std::string_view headers) const {
  return exchange(post_bytes(path, body, fmt::format("connection: close\r\n{}", headers)));
}

}  // namespace loopbank::testing
