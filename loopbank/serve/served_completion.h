#pragma once
/// One completion request from its body to its last byte: read, queued, answered whole or as a
/// stream, logged and counted.

#include <functional>
#include <memory>
#include <string>

#include "loopbank/serve/http/http.h"
#include "loopbank/serve/request_log.h"
#include "loopbank/serve/scheduler.h"
#include "loopbank/serve/server_metrics.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {

/// What completion requests of one server share; outlives them all.
struct CompletionService {
  const ServedModel& served;
  Scheduler& scheduler;
  ServerMetrics& metrics;
  bool logs_prompts = false;
  /// Headers of every answer beside the transport's.
  std::vector<std::pair<std::string, std::string>> headers{};
  std::function<void(RequestRecord record)> log{};  ///< any thread
};

/// Reads a request's body and queues it; the answer comes from the engine's thread. A client that
/// goes away cancels its request.
/// @param client  whom a turn is owed, where the body names no user
/// @throws ApiError for a body that is refused, 429 and 503; nothing was answered then
void serve_completion(const CompletionService& service, HttpRequest request,
                      std::shared_ptr<HttpAnswer> answer, std::string client, Stopwatch since);

}  // namespace loopbank
