#pragma once
/// A client of a few lines over a plain socket, which can do all that a proper client does not.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace loopbank {

struct HttpReply {
  int status = 0;
  std::map<std::string, std::string> headers{};  ///< names in lower case
  std::string body{};
  bool is_whole = false;  ///< as long as its head says, or with the last chunk
};

class HttpSocket {
 public:
  /// Connects to 127.0.0.1.
  /// @param receive_bytes  SO_RCVBUF; 0 leaves it
  explicit HttpSocket(int64_t port, int receive_bytes = 0);
  ~HttpSocket();
  HttpSocket(HttpSocket&& other) noexcept : fd_(other.fd_), unread_(other.unread_) {
    other.fd_ = -1;
  }
  HttpSocket(const HttpSocket&) = delete;
  HttpSocket& operator=(const HttpSocket&) = delete;

  /// Sends all of it. @return false where the server has closed
  bool send(std::string_view bytes);
  /// The next reply; what there is of it after 5 s, or none where nothing came.
  std::optional<HttpReply> receive(bool is_head = false);
  /// Reads until `mark` has come; false after 5 s or where the server closes before.
  bool read_until(std::string_view mark);
  /// Whether the server closes, by an end or a reset, within so many seconds; reads what comes before.
  bool is_closed_within(double seconds);
  void end_sending();  ///< half-closes
  void close();
  void reset();  ///< closes with RST
  [[nodiscard]] const std::string& unread() const { return unread_; }

 private:
  /// One read more. @return false at the end, on an error and after `seconds`
  bool read_more(double seconds = 5.0);

  int fd_;
  bool has_ended_ = false;
  std::string unread_{};
};

/// Sends one request over a connection of its own.
HttpReply http_reply(int64_t port, std::string_view request);

/// Whether it comes true within 5 s.
template <typename Condition>
bool comes_true(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace loopbank
