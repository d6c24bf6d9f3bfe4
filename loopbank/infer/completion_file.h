#pragma once
/// A batch of prompts as a file of JSON lines, and the file of their completions.
///
///     {"prompt": "The capital of", "id": "a7", "max_tokens": 20, "stop": ["\n"]}
///     {"index":0,"completion":0,"request":"0123456789abcdef","id":"a7","text":" France is",...}
///
/// A line a completion is appended as it is there, in whichever order; a run that was killed goes on
/// where it stopped. Not here: what computes the completions (generator.h).

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "loopbank/infer/generator.h"

namespace loopbank {

struct CompletionRequest {
  Prompt prompt;
  int64_t index = 0;  ///< among the requests of the file, from 0
  int64_t n = 1;      ///< completions
  std::string id{};   ///< the request's own name as JSON, a text or a number; empty without
  std::string where = "generate";  ///< `file:line`, for errors
  GenerateOptions options;
  at::ScalarType compute_dtype = at::kFloat;  ///< of the engine that they are for

  /// What a line may set beside `prompt` and `id`, over this object.
  [[nodiscard]] std::vector<Field> fields();
};

/// A request from a line of JSON: `prompt` (a text or a list of token ids), `id` and any of
/// CompletionRequest's fields.
/// @param defaults  what is not in the line
/// @throws Error kConfig as `where: unknown key "max_token". Did you mean "max_tokens"?`, for a value
///   out of range, or without a prompt
[[nodiscard]] CompletionRequest parse_completion_request(const nlohmann::json& line,
                                                         const std::string& where,
                                                         CompletionRequest defaults);

/// The requests of a file of JSON lines; blank lines are passed over.
/// @throws Error kData when it cannot be read or a line is no JSON; kConfig as above
[[nodiscard]] std::vector<CompletionRequest> read_completion_requests(
    const std::filesystem::path& path, const CompletionRequest& defaults);

/// text, tokens[], token_logprobs[], top_logprobs[] (a list of {token, logprob} for each token, where
/// asked for), loops[], text_offsets[], mean_loops, prompt_tokens, stop_reason.
[[nodiscard]] nlohmann::ordered_json to_json(const Generation& generation);

/// The file of completions, continued where it ends.
class CompletionLog {
 public:
  /// Reads what the file holds, if there is one. A last line that was cut off is removed.
  /// @throws Error kData when the file cannot be written, holds anything else, or completions of
  ///   other prompts or settings than these
  CompletionLog(std::filesystem::path path, const std::vector<CompletionRequest>& requests);

  [[nodiscard]] bool is_done(const CompletionRequest& request, int64_t completion) const;
  [[nodiscard]] size_t num_done() const { return done_.size(); }
  /// Appends the line of a completion, which is in the file when this returns.
  /// @throws Error kData when it cannot be written
  void append(const CompletionRequest& request, int64_t completion, const Generation& generation);

 private:
  void read(const std::vector<CompletionRequest>& requests);

  std::filesystem::path path_;
  std::set<std::pair<int64_t, int64_t>> done_;  ///< index, completion
  std::ofstream file_;
};

}  // namespace loopbank
