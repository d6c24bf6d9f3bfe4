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
#include <variant>
#include <vector>

#include "loopbank/infer/sampler.h"
#include "loopbank/model/language_model.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// A text, or the ids of its tokens. An empty one starts a new text: the end-of-text token is read.
using Prompt = std::variant<std::string, std::vector<TokenId>>;

struct GenerateOptions {
  int64_t max_tokens = 256;
  SamplingOptions sampling;
  std::vector<std::string> stop{};  ///< strings that end the text (infer/text_stream.h)
  int64_t seed = 0;                 ///< the same seed, prompt and model give the same text
  int64_t completion = 0;  ///< which of the completions of the prompt: each has its own draws
  int64_t max_loops = 0;   ///< loop budget; 0: each layer's own N
  at::ScalarType compute_dtype = at::kFloat;

  /// What a request may set, over this object: everything but `completion` and the number type.
  [[nodiscard]] std::vector<Field> fields();
};

enum class StopReason {
  kEndOfText,    ///< the model ended the text
  kMaxTokens,    ///< max_tokens were generated
  kStopString,   ///< the text came to one of the stop strings
  kContextFull,  ///< T tokens were read
  kCancelled,    ///< the caller stopped it
};
/// `end_of_text`, `max_tokens`, `stop_string`, `context_full`, `cancelled`.
[[nodiscard]] std::string_view stop_reason_name(StopReason reason);

struct Generation {
  std::string text;  ///< without the prompt and the stop string; UTF-8 (infer/text_stream.h)
  /// Without the prompt and the end-of-text token; those of the stop string are there. What follows
  /// has an entry for each.
  std::vector<TokenId> tokens;
  std::vector<double> log_probabilities;              ///< natural, of the model (sampler.h)
  std::vector<std::vector<TokenLogProbability>> top;  ///< empty without `logprobs`
  std::vector<double> loops;  ///< of the pass that the token was drawn from, mean over layers
  std::vector<int64_t> text_offsets;  ///< in characters (text_stream.h)
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

  /// Tokens unknown to the tokenizer (padding of the vocabulary) are never drawn.
  /// @throws Error kConfig as encode_prompt and check_options
  Generation generate(const Prompt& prompt, const GenerateOptions& options,
                      const TakeText& take_text = {}) const;

  /// The tokens that are read.
  /// @param where  begins the error's text
  /// @throws Error kConfig for more than T tokens or an id outside the model's vocabulary
  [[nodiscard]] std::vector<TokenId> encode_prompt(const Prompt& prompt,
                                                   std::string_view where = "generate") const;
  /// @throws Error kConfig for a value out of range, a loop budget above N, a logit_bias of an id
  ///   that is never drawn or a stop string that is empty
  void check_options(const GenerateOptions& options, std::string_view where = "generate") const;

 private:
  const LanguageModel& model_;
  const Tokenizer& tokenizer_;
  TokenId end_of_text_;
};

}  // namespace loopbank
