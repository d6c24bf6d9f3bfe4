#pragma once
/// `loopbank serve` as a process, and connections to it without a library between: bytes as they are
/// sent and as they come.

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace loopbank::testing {

/// A connection to 127.0.0.1.
class TestSocket {
 public:
  /// Whether it could be opened is told by `is_open`.
  explicit TestSocket(int port);
  ~TestSocket();
  TestSocket(TestSocket&& other) noexcept;
  TestSocket(const TestSocket&) = delete;
  TestSocket& operator=(const TestSocket&) = delete;
  TestSocket& operator=(TestSocket&&) = delete;

  [[nodiscard]] bool is_open() const { return socket_ >= 0; }
  /// @return whether all could be sent: the other side may have closed, or takes nothing for 10 s
  bool send(std::string_view bytes) const;
  /// What comes until it holds `part`, the other side closes, or `limit` seconds are over. What came
  /// behind the part is there too.
  std::string receive_until(std::string_view part, double limit = 20.0);
  /// What comes until the other side closes or `limit` seconds are over.
  std::string receive_all(double limit = 20.0);
  [[nodiscard]] bool was_closed() const { return was_closed_; }
  void close();

 private:
  int socket_ = -1;
  bool was_closed_ = false;
};

/// An answer in parts.
struct TestAnswer {
  int status = 0;  ///< 0: none came
  std::string head;
  std::string body;
};

/// `POST PATH` as bytes, with more header lines, each with its \r\n.
[[nodiscard]] std::string post_bytes(std::string_view path, std::string_view body,
                                     std::string_view headers = "");

class ServeProcess {
 public:
  /// Starts `loopbank serve ARGUMENTS...` in `directory` and returns once it serves or has ended. What
  /// it prints lands there in NAME.out and NAME.err.
  ServeProcess(std::filesystem::path directory, std::string name,
               std::vector<std::string> arguments);
  /// Kills it where it still runs.
  ~ServeProcess();
  ServeProcess(const ServeProcess&) = delete;
  ServeProcess& operator=(const ServeProcess&) = delete;

  /// 0 where it never served.
  [[nodiscard]] int port() const { return port_; }
  void signal(int number) const;
  /// Its exit status once it has ended, 128 + the signal where one ended it; nothing where it still
  /// runs after `limit` seconds.
  std::optional<int> wait(double limit);
  [[nodiscard]] std::string err() const;
  [[nodiscard]] int64_t resident_bytes() const;

  /// Sends bytes over a new connection and reads the answer until the server closes: say
  /// `connection: close`.
  [[nodiscard]] TestAnswer exchange(std::string_view bytes, double limit = 20.0) const;
  [[nodiscard]] TestAnswer get(std::string_view path) const;
  [[nodiscard]] TestAnswer post(std::string_view path, std::string_view body,
                                std::string_view headers = "") const;

 private:
  std::filesystem::path directory_;
  std::string name_;
  pid_t process_ = -1;
  std::optional<int> status_;
  int port_ = 0;
};

}  // namespace loopbank::testing
