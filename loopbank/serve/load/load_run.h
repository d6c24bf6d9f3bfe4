#pragma once
/// The load of a server by a number of clients, and its figures.
///
///     ramp        everyone starts; nothing is counted
///     window      what happens in it is counted: a token when it comes, an answer when it ends
///     cut off     what runs at the end
///
/// Request i of a load is decided by its seed alone (load_prompt), so that any answer can be asked for
/// again, or computed without a server.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/serve/load/load_client.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

struct TokenRange {
  int64_t low = 1;
  int64_t high = 1;

  /// `LOW:HIGH` or one number.
  /// @throws Error kConfig, beginning with `where`, for anything else, LOW < 1 or HIGH < LOW
  static TokenRange parse(const std::string& where, const std::string& text);
};

/// The API's lowest bias: no logit is so far above the others.
inline constexpr int kBarredBias = -100;

struct LoadOptions {
  int64_t clients = 1;
  double ramp_seconds = 2.0;
  double seconds = 10.0;
  TokenRange prompt_tokens{16, 512};  ///< drawn log-uniformly
  TokenRange max_tokens{64, 64};
  double stream_share = 1.0;
  double cancel_share = 0.0;   ///< of streams, hung up after a token drawn between 1 and max_tokens
  double long_prompts = 0.0;   ///< a second, beside the clients, each with max_tokens 1
  int64_t long_tokens = 1024;  ///< of those
  int64_t num_ids = 1;         ///< ids are drawn uniformly from 0 to this, not included
  std::optional<TokenId>
      barred{};           ///< never drawn: end-of-text, so that answers are of full length
  std::string members{};  ///< of every body, such as `"exit":"cdf:0.9"`; empty: none more
  uint64_t seed = 0;
  bool keeps_answers = false;  ///< for a comparison; asks for log probabilities
};

struct LoadPrompt {
  std::vector<TokenId> ids;
  int64_t max_tokens = 0;
  bool is_stream = true;
  int64_t cancel_after = 0;
};

/// The request of a seed.
[[nodiscard]] LoadPrompt load_prompt(const LoadOptions& options, uint64_t seed);

/// An answer with the seed of its request.
struct LoadPair {
  uint64_t seed = 0;
  LoadAnswer answer;
};

/// Times of one kind, seconds.
struct LoadTimes {
  int64_t count = 0;
  double mean = 0.0;
  double median = 0.0;  ///< 0 where most tokens came in one read with the one before
  double p99 = 0.0;
  double longest = 0.0;
};

struct LoadFigures {
  double seconds = 0.0;  ///< of the window
  double tokens_per_second = 0.0;
  double requests_per_second = 0.0;  ///< whole answers of status 200
  LoadTimes first_token{};       ///< from the request, its connection included, to its first token
  LoadTimes between_tokens{};    ///< of one stream
  LoadTimes whole{};             ///< from the request to the answer's end
  double mean_loops = 0.0;       ///< over the answers that tell it, each counted by its tokens
  int64_t prompt_tokens = 0;     ///< of the requests that ended in the window
  int64_t generated_tokens = 0;  ///< that came in the window
  int64_t cancelled = 0;
  int64_t long_prompts = 0;           ///< answered
  std::map<int, int64_t> statuses{};  ///< whole answers by status
  int64_t broken = 0;
  std::string first_failure{};            ///< of a broken answer
  std::map<int, std::string> refusals{};  ///< the first body of each status but 200
  double client_processor_share = 0.0;    ///< of one core, that this client took
  std::vector<LoadPair> answers{};        ///< of status 200, those cut off included
};

/// Called about ten times a second with the seconds since the window began (negative before), so that
/// the server can be watched; what it throws ends the load.
using LoadWatch = std::function<void(double seconds)>;

/// @throws Error kConfig for options out of range, and as run_load_lanes
[[nodiscard]] LoadFigures run_load(const LoadTarget& target, const LoadOptions& options,
                                   const LoadWatch& watch = {});

}  // namespace loopbank
