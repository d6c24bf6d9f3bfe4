#pragma once
/// What a server counts and measures, as Prometheus reads it (docs/serving.md).

#include <memory>
#include <string>
#include <string_view>

#include "loopbank/serve/http/http_server.h"
#include "loopbank/serve/scheduler.h"

namespace loopbank {

/// Safe for several threads at once.
class ServerMetrics {
 public:
  ServerMetrics();
  ~ServerMetrics();
  ServerMetrics(const ServerMetrics&) = delete;
  ServerMetrics& operator=(const ServerMetrics&) = delete;

  /// @param path  one of the server's, or `other`
  void count_request(const std::string& path, int status, double seconds);
  void observe_first_token(double seconds);
  void observe_gap(double seconds);

  /// The text of GET /metrics.
  [[nodiscard]] std::string text(const SchedulerState& scheduler, const HttpCounts& http);

 private:
  struct Series;
  std::unique_ptr<Series> series_;
};

}  // namespace loopbank
