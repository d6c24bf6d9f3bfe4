#pragma once
/// The next token of one text, from a row of logits.
///
/// In this order, which is vLLM's (v1), each step on what the one before left:
///
///     1  logit_bias          z_i += b_i
///     2  repetition_penalty  z_i /= r where z_i > 0, else z_i *= r; of tokens in prompt or text
///     3  frequency_penalty   z_i -= f c_i, c_i being how often the generated text holds i
///     4  presence_penalty    z_i -= q where c_i > 0
///     5  temperature         p = softmax(z / T); T = 0 takes the largest z, the first of equals
///     6  min_p               p_i >= min_p max p
///     7  top_k               the k most probable; of equals the lower id first
///     8  top_p               the fewest most probable that hold top_p of what is left
///
/// and a draw from what stays, made to sum to 1. Frequency and presence count generated tokens
/// alone, as OpenAI defines them and vLLM has them, so that a long prompt does not forbid its own
/// words; the repetition penalty counts the prompt too, as in CTRL (Keskar et al. 2019) and
/// transformers. (llama.cpp instead counts the last 64 tokens of both for all three, and divides by
/// the temperature last.)
///
/// Log probabilities are those of the model, softmax of the logits as they came in, as OpenAI's and
/// vLLM's default are: what a text is worth to the model does not change with the way it was drawn.
///
/// The seed alone decides the draws, not the batch in which a row is computed.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "loopbank/infer/sampling_options.h"
#include "loopbank/support/random.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// The seed of the draws of completion `index` (from 0) of a request: completions of one prompt
/// differ, and the first is what a request for one gives.
[[nodiscard]] uint64_t completion_seed(uint64_t seed, int64_t index);

/// The index at which the running sum of the weights passes uniform times their sum: i is drawn
/// with probability weights_i / sum.
///
/// @param weights  0 or more each, and not all 0; need not sum to 1
/// @param uniform  in [0, 1)
[[nodiscard]] size_t draw_index(std::span<const double> weights, double uniform);

struct TokenLogProbability {
  TokenId token = 0;
  double log_probability = 0.0;  ///< natural logarithm
};

/// Chooses the tokens of one text; a copy goes on by itself with the same draws.
class Sampler {
 public:
  struct Draw {
    TokenId token = 0;
    double log_probability = 0.0;          ///< ln p(token), of the model's own distribution
    std::vector<TokenLogProbability> top;  ///< the `logprobs` most probable ones, best first
  };

  /// @param num_tokens  V', the ids that may be drawn: 0 to V' - 1. Logits behind them, such as
  ///   those of padding of the vocabulary, are as if they were not there
  /// @param prompt      counts for the repetition penalty
  /// @throws Error kConfig for options out of range or a logit_bias of an id from V' on
  Sampler(SamplingOptions options, uint64_t seed, int64_t num_tokens,
          std::span<const TokenId> prompt = {});

  /// Draws exactly from probabilities(logits); the token is not yet accepted.
  ///
  /// @param logits  [V] with V >= V', in CPU memory
  /// @throws Error kShape for fewer than V'; kCheckpoint for logits that are not finite
  [[nodiscard]] Draw next(std::span<const float> logits);
  /// @param logits  [V] on any device, of any floating type; read as fp32
  [[nodiscard]] Draw next(const at::Tensor& logits);

  /// From now on the text holds this token.
  void accept(TokenId token);

  /// What next() draws from, [V'], fp64; at temperature 0 all of it on one token.
  /// @throws Error as next
  [[nodiscard]] std::vector<double> probabilities(std::span<const float> logits) const;

  /// What a draw would tell of a token that was chosen otherwise, such as by a draft.
  /// @throws Error as next
  [[nodiscard]] Draw describe(std::span<const float> logits, TokenId token) const;

  /// The draws still to come: one for each token, none at temperature 0.
  [[nodiscard]] RandomStream& random() { return random_; }
  [[nodiscard]] const SamplingOptions& options() const { return options_; }

 private:
  struct Row;
  [[nodiscard]] Row weigh(std::span<const float> logits) const;
  [[nodiscard]] bool has_changes() const { return !options_.logit_bias.empty() || !seen_.empty(); }
  void change(std::span<double> logits) const;
  [[nodiscard]] TokenId choose(std::span<const float> logits);
  [[nodiscard]] TokenId most_probable_token(std::span<const float> logits) const;
  [[nodiscard]] std::span<const float> known(std::span<const float> logits) const;
  void see(TokenId token, int64_t generated);

  SamplingOptions options_;
  RandomStream random_;
  size_t num_tokens_;
  /// How often the text holds each token, 0 where only the prompt does. Empty without penalties.
  std::unordered_map<TokenId, int64_t> seen_;
};

}  // namespace loopbank
