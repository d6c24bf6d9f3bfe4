#pragma once
/// Text from prompts: the engine's tokens as characters, up to a stop string.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "loopbank/infer/engine.h"
#include "loopbank/infer/text_stream.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// A text, or the ids of its tokens. An empty one starts a new text: the end-of-text token is read.
using Prompt = std::variant<std::string, std::vector<TokenId>>;

struct GenerateOptions {
  int64_t max_tokens = 256;
  SamplingOptions sampling;
  std::vector<std::string> stop{};  ///< strings that end the text (infer/text_stream.h)
  int64_t seed = 0;                 ///< the same seed, prompt and model give the same text
  InferenceSettings inference{};
  std::string draft = "none";  ///< infer/draft.h

  /// What a request may set, over this object.
  [[nodiscard]] std::vector<Field> fields();
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
  /// In characters (text_stream.h); while text is being written, of a token whose first character is
  /// not complete, or stands in what may become a stop string, not final.
  std::vector<int64_t> text_offsets;
  /// By token, where the request asked for it.
  std::vector<std::shared_ptr<const TokenInside>> inside = {};
  int64_t prompt_tokens = 0;
  /// Of the prompt's tokens from Request::score_from on; the same for every completion.
  std::shared_ptr<const std::vector<ScoredToken>> prompt_scores = {};
  std::shared_ptr<const std::vector<TokenId>> prompt = {};  ///< as it was read
  StopReason stop_reason = StopReason::kMaxTokens;          ///< known at the end
  std::string stop_string = {};                             ///< that ended it; empty where none did
  std::optional<GeneratedToken> end_token = {};             ///< the end-of-text token that ended it
  double mean_loops = 0.0;  ///< expected loops, mean over layers and all tokens read
};

/// The request of a prompt, checked. Tokens unknown to the tokenizer (padding of the vocabulary) are
/// never drawn. From any thread.
/// @param where  begins the error's text
/// @throws Error kConfig for a prompt of more than T tokens or with an id outside the model's
///   vocabulary, a value out of range, a loop budget above N, a logit_bias of an id that is never
///   drawn, or a stop string that is empty
[[nodiscard]] Request request_of(const Prompt& prompt, const GenerateOptions& options,
                                 const ModelConfig& config, const Tokenizer& tokenizer,
                                 std::string_view where = "generate");

/// Generates with a model and its tokenizer; both must outlive it.
class Generator {
 public:
  /// @throws Error kConfig for a tokenizer with more ids than the model's vocabulary, and as Engine
  Generator(const LanguageModel& model, const Tokenizer& tokenizer,
            const EngineOptions& options = {});

  /// Is told each token of a completion as it is drawn, with what came so far and the text that is
  /// sure now (maybe none, and in `so_far` already); and at the end once more where that releases
  /// text, or where no token came and the prompt was scored. Returning false stops the completion.
  using TakeText = std::function<bool(const Generation& so_far, std::string_view piece)>;

  /// The same for this model and tokenizer.
  [[nodiscard]] Request request_of(const Prompt& prompt, const GenerateOptions& options,
                                   std::string_view where = "generate") const {
    return loopbank::request_of(prompt, options, model_.config(), tokenizer_, where);
  }

  /// As Engine::prepare.
  void prepare() { engine_.prepare(); }
  /// Queues what request_of gave. Tokens unknown to the tokenizer (padding of the vocabulary) are
  /// never drawn.
  /// @param stop  strings that end the text
  /// @throws Error kConfig for more keys and values than the engine may hold
  RequestId add(Request request, const std::vector<std::string>& stop, TakeText take_text = {});
  /// Queues a prompt.
  /// @throws Error kConfig as request_of, and as the other
  RequestId add(const Prompt& prompt, const GenerateOptions& options, int64_t completions = 1,
                TakeText take_text = {});
  /// One pass of the engine; the completions that ended with it.
  std::vector<Generation> step();
  /// Ends a request without a result.
  bool cancel(RequestId id);
  [[nodiscard]] bool idle() const { return engine_.idle(); }
  [[nodiscard]] const Engine& engine() const { return engine_; }

  /// The first completion of a prompt, at once.
  Generation generate(const Prompt& prompt, const GenerateOptions& options,
                      const std::function<bool(std::string_view piece)>& take_text = {});

 private:
  /// A completion that is being written.
  struct Writing {
    TextStream text;
    Generation result;
    bool ended = false;
  };
  struct Asked {
    TakeText take_text;
    std::shared_ptr<std::vector<ScoredToken>> prompt_scores;  // of all completions
    std::vector<Writing> completions;
    size_t left = 0;  // completions that have not ended
  };
  using AskedById = std::unordered_map<RequestId, Asked>;
  /// Adds a piece of text and tells of it; whether the completion goes on.
  static bool give(const Asked& asked, Writing& writing, std::string_view piece);
  /// Whether the completion goes on.
  bool take(const Asked& asked, Writing& writing, GeneratedToken&& token) const;
  Generation finish(AskedById::iterator asked, FinishedCompletion&& finished);

  const LanguageModel& model_;
  const Tokenizer& tokenizer_;
  Engine engine_;
  AskedById asked_;
};

}  // namespace loopbank
