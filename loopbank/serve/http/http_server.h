#pragma once
/// HTTP/1.1 over Boost.Beast: one thread for all connections, none of them may hold up another.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "loopbank/serve/http/http.h"

namespace loopbank {

struct HttpOptions {
  std::string host = "127.0.0.1";
  int64_t port = 8080;  ///< 0: one that is free
  size_t largest_body = size_t{8} << 20;
  size_t most_body_bytes = size_t{256} << 20;  ///< of all requests together
  int64_t most_connections = 0;  ///< 0: as many as files may be open, less 64; at most 16384
  double header_seconds = 10.0;  ///< until a request's head is there
  double body_seconds = 30.0;    ///< and its body
  double idle_seconds = 60.0;    ///< between two requests of a connection
  double write_seconds = 30.0;   ///< without a byte taken by the client
};

struct HttpCounts {
  int64_t connections = 0;  ///< open now
  int64_t refused = 0;      ///< connections turned away since the start
};

class HttpServer {
 public:
  /// Binds and listens; `start` serves.
  /// @throws Error kConfig where the address cannot be bound
  HttpServer(const HttpOptions& options, HttpHandler handler);
  ~HttpServer();

  [[nodiscard]] int64_t port() const;
  void start();
  /// No new connections and no further request on those that are open: each ends with the answer
  /// that it waits for.
  void stop_accepting();
  /// Whether every answer has been taken by its client or lost it.
  [[nodiscard]] bool wait_answered(double seconds);
  /// Closes everything.
  void stop();
  [[nodiscard]] HttpCounts counts() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace loopbank
