#pragma once
/// What is asked of the engine, and what it answers, in token ids. Text is the business of
/// generator.h.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "loopbank/infer/draft.h"
#include "loopbank/infer/exit_rules.h"
#include "loopbank/infer/key_value_policy.h"
#include "loopbank/infer/sampler.h"
#include "loopbank/support/field.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// How a request's tokens pass through the model.
struct InferenceOptions {
  ExitChoice exit;
  const KeyValuePolicy* policy = &full_policy();
  /// Whether the policy holds for the prompt too, and not for what is decoded alone: without it a
  /// prompt's tokens see what `full` would show them.
  bool policy_in_prompt = false;
  int64_t max_loops = 0;  ///< loop budget; 0: each layer's own N
};

/// What a rule may be chosen for: those that read the head serve analysis alone.
enum class ExitUse { kAnswers, kAnalysis };

/// The same as settings, which flags, JSON requests and a server share.
struct InferenceSettings {
  std::string exit = "all";
  std::string kv = "full";
  bool kv_prefill = false;
  int64_t max_loops = 0;

  /// Key, allowed values and meaning of each, over this object.
  [[nodiscard]] std::vector<Field> fields();
  /// @throws Error kConfig, beginning with `where`, for a rule or policy that there is not, and for a
  ///   rule that is not for this use
  [[nodiscard]] InferenceOptions options(std::string_view where,
                                         ExitUse use = ExitUse::kAnswers) const;
  /// The same for a text that is scored and not continued.
  /// @throws Error kConfig as well for a policy that would hold for decoded tokens alone
  [[nodiscard]] InferenceOptions scoring_options(std::string_view where,
                                                 ExitUse use = ExitUse::kAnswers) const;
};

struct Request {
  /// One that scores the tokens of a text from `from` on, and writes nothing.
  static Request scoring(std::vector<TokenId> text, int64_t from);
  /// Writes the logits of each scored token to memory that outlives the request.
  /// @param to     [scored, V]
  /// @param first  the place of the first scored token
  void keep_logits(float* to, int64_t first);

  std::vector<TokenId> prompt{};  ///< at least one
  /// Of each completion. 0 reads the prompt alone, but for its last token, behind which nothing is
  /// asked: such a prompt may hold T + 1 tokens.
  int64_t max_tokens = 256;
  int64_t completions = 1;  ///< that share the prompt's keys and values
  SamplingOptions sampling{};
  uint64_t seed = 0;
  InferenceOptions inference{};
  /// Guesses at what comes next; change nothing but the time.
  DraftOptions draft{};
  std::vector<TokenId> end_tokens{};  ///< that end a completion and are not given out
  /// Tokens of the prompt from this one on are scored, 1 or more; absent: none.
  std::optional<int64_t> score_from = {};
  /// What is written behind the prompt in place of draws: decoded token by token, each scored.
  /// Where there are some, they stand for max_tokens, and there is one completion. The last one is
  /// not read.
  std::vector<TokenId> forced = {};
  /// Whether each token that is given out, drawn or scored, brings what its pass did inside the model.
  bool inside = false;
  /// Receives the logits [V] that each scored token was scored by, during the step.
  std::function<void(int64_t place, std::span<const float> logits)> on_logits = {};
};

using RequestId = int64_t;

/// What a pass did with one token, layer by layer.
struct TokenInside {
  /// What a layer read of a bank, over the loops that the token ran, each weighted by the share of the
  /// layer's output that passed it.
  struct BankRead {
    int64_t layer = 0;  ///< from 0
    bool global = false;
    double gate = 0.0;                            ///< mean over D
    std::vector<std::pair<int64_t, double>> top;  ///< slots of most weight and their weights, five
  };
  std::vector<double> loops;  ///< [L]
  std::vector<std::vector<double>>
      halting;  ///< per layer [N_l] P_t, 0 behind the last that was run
  std::vector<BankRead> reads;
};

enum class StopReason {
  kEndOfText,    ///< the model ended the text
  kMaxTokens,    ///< max_tokens were generated
  kContextFull,  ///< T tokens were read
  kStopString,   ///< a stop string was generated
  kCancelled,    ///< the caller stopped it
};
/// `end_of_text`, `max_tokens`, `context_full`, `stop_string`, `cancelled`.
[[nodiscard]] std::string_view stop_reason_name(StopReason reason);

/// A token that a completion was given.
struct GeneratedToken {
  RequestId request = 0;
  int64_t completion = 0;
  Sampler::Draw draw;       ///< the token and its log probability
  double loops = 0.0;       ///< of the token before it, which it was drawn after: mean over layers
  double mean_loops = 0.0;  ///< of all tokens read so far
  std::shared_ptr<const TokenInside> inside = {};  ///< of the pass that it was drawn from
};

/// A token of a prompt or of what was forced behind it, scored by the tokens before it.
struct ScoredToken {
  RequestId request = 0;
  int64_t place = 0;  ///< in the text, from 1
  double log_probability = 0.0;
  bool greedy = false;  ///< whether no other token is more probable, and none of a lower id as
  double loops = 0.0;   ///< of the token before it
  std::vector<TokenLogProbability> top = {};  ///< the `logprobs` most probable ones, best first
  std::shared_ptr<const TokenInside> inside = {};  ///< of the token before it
};

struct FinishedCompletion {
  RequestId request = 0;
  int64_t completion = 0;
  StopReason reason = StopReason::kMaxTokens;
  int64_t tokens_read = 0;  ///< the prompt's included
  double mean_loops = 0.0;  ///< mean over layers and those tokens
  /// The token of `end_tokens` that ended it; absent where it ended for another reason.
  std::optional<GeneratedToken> end_token = {};
};

/// What a step has brought.
struct StepOutput {
  std::vector<GeneratedToken> generated;
  std::vector<ScoredToken> scored;
  std::vector<FinishedCompletion> finished;
};

}  // namespace loopbank
