#pragma once
/// A client that loads a server of the OpenAI API: many connections, one thread.
///
/// Each lane sends its next request when its last one has ended (a closed loop), so that a slow server
/// is asked less often and nothing piles up. What is asked and what becomes of the answers is the
/// business of load_run.h.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "loopbank/serve/load/load_answer.h"

namespace loopbank {

struct LoadTarget {
  std::string host = "127.0.0.1";  ///< an address, or a name
  int64_t port = 8080;
  std::string api_key{};  ///< empty: none is sent
  /// Without a byte from the server, after which a request is given up.
  double silence_seconds = 120.0;

  /// `http://HOST:PORT`.
  /// @throws Error kConfig, beginning with `where`, for another form
  static LoadTarget of_url(const std::string& where, const std::string& url);
};

struct LoadRequest {
  std::string body{};        ///< of POST /v1/completions
  int64_t cancel_after = 0;  ///< tokens of the stream after which the client hangs up; 0: never
  double not_before = 0.0;   ///< seconds of the client's clock
};

struct LoadHandlers {
  /// The next request of a lane; nothing ends the lane.
  std::function<std::optional<LoadRequest>(int64_t lane, double now)> next{};
  std::function<void(int64_t lane, LoadAnswer answer)> take{};
  /// About ten times a second; false ends the load at once.
  std::function<bool(double now)> tick{};
};

/// Runs lanes until they end or the time is over; what runs then is cut off.
/// @param lanes    numbered from 0, each with a connection of its own
/// @param seconds  of the client's clock, which starts at 0 with this call
/// @throws Error kConfig where the host has no address; what the handlers throw
void run_load_lanes(const LoadTarget& target, int64_t lanes, double seconds,
                    const LoadHandlers& handlers);

}  // namespace loopbank
