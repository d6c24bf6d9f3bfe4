#pragma once
/// Text from prompts: the engine's tokens as characters, up to a stop string.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loopbank/infer/engine.h"
#include "loopbank/infer/text_stream.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

struct GenerateOptions {
  int64_t max_tokens = 256;
  int64_t completions = 1;
  SamplingOptions sampling;
  std::vector<std::string> stop{};  ///< strings that end the text (infer/text_stream.h)
  int64_t seed = 0;                 ///< the same seed, prompt and model give the same text
  InferenceOptions inference;
};

struct Generation {
  RequestId request = 0;
  int64_t completion = 0;
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
  /// @throws Error kConfig for a tokenizer with more ids than the model's vocabulary, and as Engine
  Generator(const LanguageModel& model, const Tokenizer& tokenizer,
            const EngineOptions& options = {});

  /// Receives each complete piece of text as it comes; returning false stops the completion.
  using TakeText = std::function<bool(int64_t completion, std::string_view piece)>;

  /// The ids of a prompt; an empty one starts a new text (the end-of-text token is read).
  [[nodiscard]] std::vector<TokenId> encode_prompt(std::string_view prompt) const;

  /// Queues a prompt. Tokens unknown to the tokenizer (padding of the vocabulary) are never drawn.
  /// @throws Error kConfig for a prompt of more than T tokens, a loop budget outside 0 to N, a
  ///   negative max_tokens or sampling options out of range
  RequestId add(std::vector<TokenId> prompt, const GenerateOptions& options,
                TakeText take_text = {});
  /// One pass of the engine; the completions that ended with it.
  std::vector<Generation> step();
  /// Ends a request without a result.
  bool cancel(RequestId id);
  [[nodiscard]] bool idle() const { return engine_.idle(); }
  [[nodiscard]] const Engine& engine() const { return engine_; }

  /// The first completion of a prompt, at once.
  Generation generate(std::string_view prompt, const GenerateOptions& options,
                      const std::function<bool(std::string_view piece)>& take_text = {});

 private:
  /// A completion that is being written.
  struct Writing {
    TextStream text;
    TakeText take_text;
    Generation result;
  };
  using Key = std::pair<RequestId, int64_t>;
  bool give(Writing& writing, const std::string& piece);
  /// Whether the completion goes on.
  bool take(Writing& writing, const GeneratedToken& token);
  Generation finish(Key key, StopReason reason, double mean_loops);

  const Tokenizer& tokenizer_;
  int64_t max_length_;
  Engine engine_;
  std::map<Key, Writing> writing_;
};

}  // namespace loopbank
