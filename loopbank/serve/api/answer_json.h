#pragma once
/// What answers say of tokens, as JSON of the OpenAI API.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "loopbank/infer/generator.h"

namespace loopbank {

/// What an answer tells of one token, of a prompt or of what was written behind it. A view.
struct ToldToken {
  TokenId token = 0;
  std::optional<double> log_probability{};  ///< none of a text's first token
  std::span<const TokenLogProbability> top{};
  int64_t offset = 0;  ///< in characters of the answer's text
  std::optional<double> loops{};
  const TokenInside* inside = nullptr;
};

/// The token's text; of one that is no whole UTF-8 `bytes:\xe2\x80`, in which printable ASCII but
/// the backslash stands for itself.
[[nodiscard]] std::string token_text(TokenId token, const Tokenizer& tokenizer);

/// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}, each with an entry a token. The
/// alternatives are an object by text that holds the token itself too, the most probable first; of
/// two tokens of one text the less probable one stands as `token_id:ID`.
[[nodiscard]] nlohmann::ordered_json completion_logprobs(std::span<const ToldToken> tokens,
                                                         const Tokenizer& tokenizer);
/// {"content": [{"token", "logprob", "bytes", "top_logprobs": [{"token", "logprob", "bytes"}]}]}
[[nodiscard]] nlohmann::ordered_json chat_logprobs(std::span<const ToldToken> tokens,
                                                   const Tokenizer& tokenizer);
/// The loops of each token, null of a text's first.
[[nodiscard]] nlohmann::ordered_json loops_of_tokens(std::span<const ToldToken> tokens);
/// What each token did inside the model, null of a text's first: {"loops", "halting", "reads"},
/// numbers to 4 significant digits.
[[nodiscard]] nlohmann::ordered_json inside_of_tokens(std::span<const ToldToken> tokens);

/// JSON on one line; bytes that are no UTF-8 as U+FFFD.
[[nodiscard]] std::string write_line(const nlohmann::ordered_json& json);

}  // namespace loopbank
