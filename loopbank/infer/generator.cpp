#include "loopbank/infer/generator.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "loopbank/infer/utf8_stream.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

/// The model over one growing text.
class Reader {
 public:
  Reader(const LanguageModel& model, const GenerateOptions& options)
      : model_(model),
        options_{.compute_dtype = options.compute_dtype,
                 .max_loops = options.max_loops,
                 .cache = &cache_,
                 .recorder = nullptr} {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// Reads on and gives the logits of what follows, [V].
  at::Tensor read(const std::vector<TokenId>& tokens) {
    const auto row = at::tensor(std::vector<int64_t>(tokens.begin(), tokens.end()), at::kLong);
    const auto hidden = model_.hidden(row.unsqueeze(0).to(model_.device()), options_);
    loops_ += hidden.expected_loops.mean(0).sum().item<double>();
    // The head sees the last position alone: [1, D] to [1, V].
    return model_.head(hidden.states.select(1, -1), options_).squeeze(0);
  }
  [[nodiscard]] int64_t length() const { return cache_.length(); }
  [[nodiscard]] double mean_loops() const { return loops_ / static_cast<double>(length()); }

 private:
  const LanguageModel& model_;
  KeyValueCache cache_;
  ForwardOptions options_;
  double loops_ = 0.0;
};

}  // namespace

std::string_view stop_reason_name(StopReason reason) {
  switch (reason) {
    case StopReason::kEndOfText:
      return "end_of_text";
    case StopReason::kMaxTokens:
      return "max_tokens";
    case StopReason::kContextFull:
      return "context_full";
    case StopReason::kCancelled:
      break;
  }
  return "cancelled";
}

Generator::Generator(const LanguageModel& model, const Tokenizer& tokenizer)
    : model_(model), tokenizer_(tokenizer), end_of_text_(tokenizer.end_of_text()) {
  if (tokenizer.vocab_size() > model.config().vocab_size) {
    fail(ErrorCode::kConfig,
         "Generator: expected a tokenizer of at most {} ids (the model's vocab_size), got {}.",
         model.config().vocab_size, tokenizer.vocab_size());
  }
}

std::vector<TokenId> Generator::encode_prompt(std::string_view prompt) const {
  auto tokens = tokenizer_.encode(prompt);
  if (tokens.empty()) {
    tokens.push_back(end_of_text_);
  }
  const int64_t most = model_.config().max_position_embeddings;
  if (static_cast<int64_t>(tokens.size()) > most) {
    fail(ErrorCode::kConfig,
         "generate: expected a prompt of at most {} tokens (max_position_embeddings), got {}. "
         "Shorten the prompt.",
         most, tokens.size());
  }
  return tokens;
}

void Generator::check_options(const GenerateOptions& options) const {
  (void)model_.config().budget_loops(options.max_loops, "generate");
  if (options.max_tokens < 0) {
    fail(ErrorCode::kConfig, "generate: expected max_tokens of 0 or more, got {}.",
         options.max_tokens);
  }
}

Generation Generator::generate(std::string_view prompt, const GenerateOptions& options,
                               const TakeText& take_text) const {
  check_options(options);
  const at::NoGradGuard no_grad;
  auto next = encode_prompt(prompt);
  Generation result;
  result.prompt_tokens = static_cast<int64_t>(next.size());
  Reader reader(model_, options);
  RandomStream random(derive_seed(options.seed, "generate"));
  Utf8Stream text;
  const auto give = [&](const std::string& piece) {
    result.text += piece;
    return piece.empty() || !take_text || take_text(piece);
  };
  while (true) {
    if (static_cast<int64_t>(result.tokens.size()) == options.max_tokens) {
      result.stop_reason = StopReason::kMaxTokens;
      break;
    }
    if (reader.length() == model_.config().max_position_embeddings) {
      result.stop_reason = StopReason::kContextFull;
      break;
    }
    const auto logits = reader.read(next).narrow(0, 0, tokenizer_.vocab_size());
    const auto token = sample_token(logits, options.sampling, random);
    if (token == end_of_text_) {
      result.stop_reason = StopReason::kEndOfText;
      break;
    }
    result.tokens.push_back(token);
    next = {token};
    if (!give(text.push(tokenizer_.token_bytes(token)))) {
      result.stop_reason = StopReason::kCancelled;
      break;
    }
  }
  if (result.stop_reason != StopReason::kCancelled) {
    give(text.finish());
  }
  result.mean_loops = reader.length() > 0 ? reader.mean_loops() : 0.0;
  return result;
}

}  // namespace loopbank
