#pragma once
/// Does thinking go where it is needed? Loops that a model takes at each token of an answer, against the
/// consecutive steps behind that token (after ANIRA, arXiv 2602.08864).
///
///     context + right answer -> tokens as scoring cuts them    (eval/scorer.h)
///                            -> forward pass, all loops        n [L, B, T]
///     answer token x_i       -> loops:  n where x_i is predicted, that is at x_(i-1)
///                            -> steps:  the most of its bytes'
///     tokens of all answers  -> rho of loops and steps         (support/rank_correlation.h)
///
/// A rank correlation alone does not tell what the loops follow. Tokens late in an answer, or behind a
/// long context, may loop more for that alone, and have more steps behind them too: rho is also given
/// with the token's place in its answer and the tokens before it held. Likewise with the token's loss
/// held: what is hard to predict may loop more whatever lies behind it. That one errs on the side of
/// too little, since steps make tokens hard, so that holding the loss takes away a part of what they do.
/// Not here: several seeds together (study/system_thinking.h).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/eval/task.h"
#include "loopbank/model/language_model.h"
#include "loopbank/support/rank_correlation.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// Loops nearer to each other than this count as equal: no thinking, but the rounding of a sum.
inline constexpr double kEqualLoops = 1e-3;

/// A token of a right answer.
struct AnswerToken {
  int64_t question = 0;            ///< index in the task
  int64_t place = 0;               ///< in the answer, from 0
  int64_t before = 0;              ///< tokens that it is predicted from
  int64_t steps = 1;               ///< the most of its bytes'
  double loss = 0.0;               ///< nats of predicting it
  std::vector<double> loops = {};  ///< [L] n where it is predicted
};

/// Answer tokens with equally many steps behind them.
struct LoopsAtSteps {
  int64_t steps = 1;
  int64_t tokens = 0;
  double loops = 1.0;                       ///< mean over layers and tokens
  std::vector<double> loops_by_layer = {};  ///< [L]
};

struct LoopsAgainstSteps {
  std::string task;
  int64_t seeds = 1;
  int64_t questions = 0;                       ///< of all seeds
  int64_t tokens = 0;                          ///< of answers, all together
  std::vector<LoopsAtSteps> by_steps = {};     ///< rising in steps
  RankCorrelation correlation = {};            ///< of the mean over layers
  RankCorrelation given_place = {};            ///< place and tokens before held
  RankCorrelation given_loss = {};             ///< loss held
  std::vector<RankCorrelation> by_layer = {};  ///< [L]; a layer that never loops has 0, 0, 0
};

struct ThinkingOptions {
  at::ScalarType compute_dtype = at::kFloat;
  int64_t batch_tokens = 4096;  ///< of a pass, at least one answer
  /// Called before every pass with the answers done and their number.
  std::function<void(int64_t done, int64_t total)> on_progress = {};
};

/// Whether it is known of any of its questions what lies behind the answer.
[[nodiscard]] bool has_known_steps(const Task& task);

/// Every token of the right answers that holds a byte with known steps, question after question.
/// Questions without steps are left out.
/// @throws Error kConfig for a model without a layer of two loops or more; kData for a task none of
///   whose questions has steps, and for tokens that do not spell the answer; kCheckpoint when a loss
///   is not finite
[[nodiscard]] std::vector<AnswerToken> measure_answer_tokens(const LanguageModel& model,
                                                             const Tokenizer& tokenizer,
                                                             const Task& task,
                                                             const ThinkingOptions& options = {});

/// Tokens against their steps, the intervals over questions; the same tokens give the same intervals.
/// @param tokens  at least one, all of the same L
[[nodiscard]] LoopsAgainstSteps loops_against_steps(const std::string& task,
                                                    const std::vector<AnswerToken>& tokens);

/// An entry of "thinking" of docs/formats.md.
[[nodiscard]] nlohmann::ordered_json to_json(const LoopsAgainstSteps& thinking);

}  // namespace loopbank
