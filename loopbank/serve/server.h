#pragma once
/// A trained model behind an OpenAI-compatible API, with metrics and a page (docs/serving.md).
///
///     socket -> HttpServer, one thread -> routes, keys
///                                            |  bodies: one thread that reads and tokenizes
///                                            v
///     socket <- events, answers <--------- Scheduler, the engine's thread

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "loopbank/serve/api/served_model.h"
#include "loopbank/serve/http/http_server.h"
#include "loopbank/serve/request_log.h"
#include "loopbank/serve/scheduler.h"

namespace loopbank {

struct ServerOptions {
  HttpOptions http{};
  SchedulerOptions scheduler{};
  std::string version{};  ///< of the program, for the API's document
  std::vector<std::string>
      api_keys{};             ///< of which a client must give one; empty: none is asked for
  std::string cors_origin{};  ///< pages of this origin may ask; `*`: of any; empty: our own
  bool log_prompts = false;
  RequestLogForm log_form = RequestLogForm::kText;
};

class Server {
 public:
  /// Binds; `start` serves.
  /// @param served  what it refers to outlives the server
  /// @throws Error kConfig where the address is not this machine's own and no key is asked for, for
  ///   a key that no header can carry, and where the address cannot be bound
  Server(ServedModel served, const ServerOptions& options);
  ~Server();

  [[nodiscard]] int64_t port() const;
  /// Such as `http://127.0.0.1:8080`.
  [[nodiscard]] std::string url() const;
  void start();
  /// Takes nothing new, and waits for what runs.
  /// @param keep_waiting  asked now and then; false ends the waiting before its time
  /// @return whether all of it ended by itself; what did not has ended with an error event or 503
  bool drain(double seconds, const std::function<bool()>& keep_waiting = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace loopbank
