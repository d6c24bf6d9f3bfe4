#pragma once
/// A client of HTTP/1.1 for tests: a connection a request, answers read to their end.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace loopbank::testing {

struct PlainAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;                            ///< without the marks of chunks

  /// Of an event stream: what stands behind `data: ` of each event.
  [[nodiscard]] std::vector<std::string> events() const;
};

struct PlainRequest {
  std::string method = "GET";
  std::string path = "/";
  std::string body{};
  std::map<std::string, std::string> headers{};
};

/// A connection that says what it is told to.
class PlainConnection {
 public:
  explicit PlainConnection(int64_t port);
  ~PlainConnection();
  PlainConnection(const PlainConnection&) = delete;
  PlainConnection& operator=(const PlainConnection&) = delete;

  void send(std::string_view bytes);
  void send(const PlainRequest& request);
  /// Reads until the text so far holds this, or the server closes.
  /// @return all that was read so far
  const std::string& read_until(std::string_view text);
  /// Reads until the server closes.
  PlainAnswer answer();
  void close();

 private:
  bool read_some();

  int socket_ = -1;
  std::string received_;
};

/// One request, whose connection closes behind the answer.
PlainAnswer ask(int64_t port, const PlainRequest& request);

}  // namespace loopbank::testing
