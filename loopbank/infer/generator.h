#pragma once
/// Text from a prompt, token by token.
///
/// The prompt passes through the model once; then each token alone, over the cached keys and
/// values. The model reads at most T tokens (max_position_embeddings): generation stops there
/// instead of forgetting its beginning, since a shifted window would have to be recomputed whole
/// for each token.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/infer/sampler.h"
#include "loopbank/model/language_model.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

struct GenerateOptions {
  int64_t max_tokens = 256;
  SamplingOptions sampling;
  uint64_t seed = 0;      ///< the same seed, prompt and model give the same text
  int64_t max_loops = 0;  ///< loop budget; 0: each layer's own N
  at::ScalarType compute_dtype = at::kFloat;
};

enum class StopReason {
  kEndOfText,    ///< the model ended the text
  kMaxTokens,    ///< max_tokens were generated
  kContextFull,  ///< T tokens were read
  kCancelled,    ///< the caller stopped it
};
/// `end_of_text`, `max_tokens`, `context_full`, `cancelled`.
[[nodiscard]] std::string_view stop_reason_name(StopReason reason);

struct Generation {
  std::string text;             ///< without the prompt; well-formed UTF-8 (infer/utf8_stream.h)
  std::vector<TokenId> tokens;  ///< without the prompt and the end-of-text token
  int64_t prompt_tokens = 0;
  StopReason stop_reason = StopReason::kMaxTokens;
  double mean_loops = 0.0;  ///< expected loops, mean over layers and all tokens read
};

/// Generates with a model and its tokenizer; both must outlive it.
class Generator {
 public:
  /// @throws Error kConfig for a tokenizer with more ids than the model's vocabulary
  Generator(const LanguageModel& model, const Tokenizer& tokenizer);

  /// Receives each complete piece of text as it comes; returning false stops.
  using TakeText = std::function<bool(std::string_view piece)>;

  /// An empty prompt starts a new text (the end-of-text token is read). Tokens unknown to the
  /// tokenizer (padding of the vocabulary) are never drawn.
  /// @throws Error kConfig for a prompt of more than T tokens, a loop budget outside 0 to N, a
  ///   negative max_tokens or sampling options out of range
  Generation generate(std::string_view prompt, const GenerateOptions& options,
                      const TakeText& take_text = {}) const;

 private:
  [[nodiscard]] std::vector<TokenId> encode_prompt(std::string_view prompt) const;
  void check_options(const GenerateOptions& options) const;

  const LanguageModel& model_;
  const Tokenizer& tokenizer_;
  TokenId end_of_text_;
};

}  // namespace loopbank
