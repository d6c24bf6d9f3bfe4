#pragma once
/// The bodies of POST /v1/completions and /v1/chat/completions, read and checked.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/serve/served_model.h"

namespace loopbank {

struct CompletionBody {
  bool chat = false;
  std::vector<Prompt> prompts{};  ///< one or more
  GenerateOptions options{};      ///< sampling.logprobs: alternatives told at each token
  int64_t n = 1;
  bool echo = false;
  bool tells_logprobs = false;
  bool stream = false;
  bool include_usage = false;     ///< stream_options.include_usage
  bool loops_by_token = false;    ///< "loops": "tokens"
  bool inside = false;            ///< what every token did inside the model
  std::string user{};
};

/// @param body  JSON
/// @throws ApiError 400 and more, with the field in `param`: docs/serving.md
[[nodiscard]] CompletionBody parse_completion_body(std::string_view body, const ServedModel& served);
[[nodiscard]] CompletionBody parse_chat_body(std::string_view body, const ServedModel& served);

/// The engine's requests, one a prompt.
/// @throws ApiError 400 for what the model cannot run, such as a prompt that is too long
[[nodiscard]] std::vector<Request> requests_of(const CompletionBody& body, const ServedModel& served);

}  // namespace loopbank
