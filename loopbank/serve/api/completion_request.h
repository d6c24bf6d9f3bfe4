#pragma once
/// The bodies of POST /v1/completions and /v1/chat/completions, read and checked.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/serve/api/json_body.h"
#include "loopbank/serve/api/served_model.h"

namespace loopbank {

inline constexpr size_t kMostPrompts = 2048;    ///< in one request
inline constexpr int64_t kMostOfAPrompt = 128;  ///< completions
inline constexpr int64_t kMostChoices = 4096;   ///< completions of all prompts together
inline constexpr size_t kMostStopStrings = 16;
inline constexpr int64_t kLongestStopString = 1024;  ///< characters
/// Log probabilities in one answer: a token's own and its alternatives count one each.
inline constexpr int64_t kMostLogProbabilities = 1 << 20;
inline constexpr int64_t kMostTokensInside = 1 << 16;  ///< of which one answer tells what they did

struct CompletionBody {
  bool chat = false;
  std::vector<Prompt> prompts{};  ///< one or more
  GenerateOptions options{};      ///< sampling.logprobs: alternatives told at each token
  int64_t n = 1;
  bool echo = false;
  bool tells_logprobs = false;
  bool stream = false;
  bool include_usage = false;   ///< stream_options.include_usage
  bool loops_by_token = false;  ///< "loops": "tokens"
  bool inside = false;          ///< what every token did inside the model
  std::string user{};
};

/// A body while it is read: what its fields are stored in.
struct BodyFields {
  /// With the defaults of the API.
  BodyFields(bool chat, const ServedModel& served);

  CompletionBody body{};
  std::string model{};
  std::string loops = "mean";
  bool logprobs = false;              ///< of a chat
  int64_t max_completion_tokens = 0;  ///< of a chat: the newer name of max_tokens

  /// All but prompt, messages and stream_options, over this object: names, ranges, meanings.
  [[nodiscard]] std::vector<Field> fields();
  /// Those in stream_options.
  [[nodiscard]] std::vector<Field> stream_fields();
  [[nodiscard]] static const std::vector<UndoneField>& undone(bool chat);
  [[nodiscard]] static const std::vector<UndoneField>& undone_of_stream();
};

/// @param body  JSON
/// @throws ApiError with the field in `param`: 400; 404 for another model; 422 for more loops than
///   the model has; docs/serving.md
[[nodiscard]] CompletionBody parse_completion_body(std::string_view body,
                                                   const ServedModel& served);
[[nodiscard]] CompletionBody parse_chat_body(std::string_view body, const ServedModel& served);

/// The engine's requests, one a prompt. Encodes texts, which for megabytes of them takes a second.
/// @throws ApiError 400 for a prompt that is longer than the context, and for an answer with more
///   log probabilities or tokens seen inside than one may have
[[nodiscard]] std::vector<Request> requests_of(const CompletionBody& body,
                                               const ServedModel& served);

/// @throws ApiError 404 for a model that is not served
void expect_model(const std::string& id, const ServedModel& served);
/// Ids in a list of a body.
/// @param name     of the field
/// @param num_ids  those from 0 to this, not included, are known
/// @throws ApiError 400 for another
[[nodiscard]] std::vector<TokenId> parse_ids(const nlohmann::json& list, const JsonBody& json,
                                             const std::string& name, int64_t num_ids);

}  // namespace loopbank
