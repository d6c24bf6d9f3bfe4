/// From a body to the requests of the engine.

#include <fmt/format.h>

#include <algorithm>

#include "loopbank/serve/api/completion_request.h"

namespace loopbank {
namespace {

std::string_view name_of(const CompletionBody& body) {
  return body.chat ? "chat" : "completions";
}

std::string place_of(const CompletionBody& body, size_t prompt) {
  return body.prompts.size() == 1
             ? std::string(name_of(body))
             : fmt::format("{}: prompt {} of {}", name_of(body), prompt, body.prompts.size());
}

int64_t most_prompt_tokens(const CompletionBody& body, const ServedModel& served) {
  // With nothing to be written the last token is not read.
  return served.model.config().max_position_embeddings + (body.options.max_tokens == 0 ? 1 : 0);
}

[[noreturn]] void refuse_length(const CompletionBody& body, const std::string& where, int64_t most,
                                const std::string& got) {
  throw ApiError(400,
                 fmt::format("{}: expected a prompt of at most {} tokens, the model's context, got "
                             "{}. Shorten the prompt.",
                             where, most, got),
                 body.chat ? "messages" : "prompt", "context_length_exceeded");
}

/// Refuses a text of which the longest tokens there are would be too many, without encoding it.
void expect_encodable(const std::string& text, const CompletionBody& body,
                      const ServedModel& served, const std::string& where) {
  constexpr size_t kUsualTokenBytes = 16;
  const auto most = most_prompt_tokens(body, served);
  if (text.size() <= static_cast<size_t>(most) * kUsualTokenBytes) {
    return;
  }
  size_t longest = 1;
  for (int64_t id = 0; id < served.tokenizer.vocab_size(); ++id) {
    longest = std::max(longest, served.tokenizer.token_bytes(static_cast<TokenId>(id)).size());
  }
  const auto fewest = (text.size() + longest - 1) / longest;
  if (fewest > static_cast<size_t>(most)) {
    refuse_length(body, where, most, fmt::format("at least {}", fewest));
  }
}

bool scores_prompt(const CompletionBody& body) {
  return body.echo && (body.tells_logprobs || body.loops_by_token || body.inside);
}

/// @param tokens  that the answer tells of, at most
void expect_bounded_answer(const CompletionBody& body, int64_t tokens) {
  const auto each = body.options.sampling.logprobs + 1;
  if (body.tells_logprobs && tokens > kMostLogProbabilities / each) {
    throw ApiError(400,
                   fmt::format("{}: expected at most {} log probabilities in one answer, got up to "
                               "{} tokens with {} each. Ask for fewer prompts at a time, fewer "
                               "tokens or fewer alternatives.",
                               name_of(body), kMostLogProbabilities, tokens, each),
                   body.chat ? "top_logprobs" : "logprobs", "answer_too_long");
  }
  if (body.inside && tokens > kMostTokensInside) {
    throw ApiError(400,
                   fmt::format("{}: expected at most {} tokens with \"inside\" in one answer, got "
                               "up to {}. Ask for fewer prompts at a time or fewer tokens.",
                               name_of(body), kMostTokensInside, tokens),
                   "inside", "answer_too_long");
  }
}

}  // namespace

std::vector<Request> requests_of(const CompletionBody& body, const ServedModel& served) {
  const auto& config = served.model.config();
  const auto context = config.max_position_embeddings;
  const auto most = most_prompt_tokens(body, served);
  auto options = body.options;
  options.max_tokens = std::min(options.max_tokens, context);
  std::vector<Request> requests;
  int64_t tokens = 0;
  for (size_t i = 0; i < body.prompts.size(); ++i) {
    const auto where = place_of(body, i);
    const auto* text = std::get_if<std::string>(&body.prompts[i]);
    if (text != nullptr) {
      expect_encodable(*text, body, served, where);
    }
    const auto ids =
        text != nullptr ? served.tokenizer.encode_prompt(*text) : std::get<1>(body.prompts[i]);
    const auto size = static_cast<int64_t>(ids.size());
    if (size > most) {
      refuse_length(body, where, most, fmt::format("{}", size));
    }
    try {
      requests.push_back(request_of(ids, options, config, served.tokenizer, where));
    } catch (const Error& error) {
      throw api_error_of(error);
    }
    auto& request = requests.back();
    request.completions = body.n;
    request.inside = body.inside;
    if (scores_prompt(body)) {
      request.score_from = 1;
    }
    const auto written = std::min(options.max_tokens, std::max<int64_t>(context - size, 0) + 1);
    tokens += (body.echo ? size : 0) + body.n * written;
    expect_bounded_answer(body, tokens);
  }
  return requests;
}

}  // namespace loopbank
