#pragma once
/// From log-probabilities of continuations to scores, by the conventions of OLMES.
///
/// Every length is that of the whole continuation, its leading space included. Ties go to the first
/// index. Not here: where the log-probabilities come from (eval/scorer.h).

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace loopbank {

/// What the model said about one continuation c given its context.
struct ContinuationScore {
  double log_probability = 0.0;  ///< lp(c), natural logarithm, summed over its tokens
  double unconditioned = 0.0;    ///< lp(c) given the task's bare context; 0 where not asked for
  int64_t tokens = 0;            ///< at least 1
  int64_t characters = 0;        ///< Unicode code points, at least 1
  int64_t bytes = 0;             ///< UTF-8, at least 1
  bool greedy = false;           ///< every token was the most probable one
  double loops = 0.0;            ///< expected loops summed over the tokens, mean over layers
  bool context_cut = false;      ///< the context had to be cut
  /// Passes that the continuation took; more than 1 where it is longer than T.
  int64_t windows = 1;
  int64_t context_tokens = 0;  ///< read before its first token
};

enum class Metric {
  kAccRaw,       ///< arg max lp(c)
  kAccPerChar,   ///< arg max lp(c) / characters(c)
  kAccPerToken,  ///< arg max lp(c) / tokens(c)
  kAccPerByte,   ///< arg max lp(c) / bytes(c)
  kAccUncond,    ///< arg max lp(c | context) - lp(c | bare context), PMI
  kAccGreedy,    ///< the one continuation is what greedy decoding gives
  kBitsPerByte,  ///< of the correct continuation; lower is better
};

/// `acc_raw`, ..., `bits_per_byte_corr`: the names that OLMES gives them (`acc_greedy` is ours).
[[nodiscard]] std::string_view metric_name(Metric metric);

/// Index of the continuation that the metric chooses, the first of equals; 0 for kAccGreedy.
/// @param metric  any but kBitsPerByte
/// @param scores  at least one
[[nodiscard]] int64_t choose(Metric metric, std::span<const ContinuationScore> scores);

/// -log2 p(c) / bytes(c).
[[nodiscard]] double bits_per_byte(const ContinuationScore& score);

/// Bits that the model's weights must hold of an answer c that is one of 2^prior equally probable ones:
///
///     prior - (-log2 p(c))        Allen-Zhu and Li 2024, arXiv 2404.05405: the prior less the loss
///
/// Below 0 where the model does worse than to know nothing; a mean over facts bounds knowledge.
[[nodiscard]] double known_bits(const ContinuationScore& score, double prior_bits);

/// Name of known_bits in result files.
inline constexpr const char* kKnownBits = "known_bits";

/// The metric of one instance: 0 or 1, or bits per byte.
[[nodiscard]] double instance_value(Metric metric, std::span<const ContinuationScore> scores,
                                    int64_t label);

/// A mean and its standard error s / sqrt(n), s computed with n - 1; 0 where n = 1.
struct Estimate {
  double mean = 0.0;
  double standard_error = 0.0;
};
/// @param values  at least one
[[nodiscard]] Estimate estimate_mean(std::span<const double> values);

/// Unicode code points of well-formed UTF-8; at least 1.
[[nodiscard]] int64_t count_characters(std::string_view text);

}  // namespace loopbank
