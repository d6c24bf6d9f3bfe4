#pragma once
/// When a token leaves an adaptive layer before its last loop (SPEC 6).
///
/// A rule decides on one token from that token alone, so that an answer depends neither on the
/// token's neighbours nor on how a text was cut into passes. The rules themselves: infer/exit_rules.h.

#include <cstdint>

namespace loopbank {

/// What is known of a token after loop t of a layer, t < N.
struct AfterLoop {
  int64_t t = 1;              ///< the loop, from 1
  double p = 0.0;             ///< p_t, the probability of stopping at t for who has come so far
  double cumulative = 0.0;    ///< P_1 + ... + P_t
  double change = 0.0;        ///< |h^(t) - h^(t-1)| / |h^(t-1)|; where the rule reads changes
  double acceleration = 0.0;  ///< |d_t - d_{t-1}| / |d_t|, d_t = h^(t) - h^(t-1); infinite at t = 1
  // Where the rule reads the head (model/head_reader.h):
  double entropy = 0.0;  ///< of what the head predicts if the token leaves now, nats
  double kl = 0.0;       ///< of that to the same one loop earlier, nats; infinite at t = 1
  int64_t agreeing = 0;  ///< loops in a row, this one included, with one most probable successor
};

class ExitRule {
 public:
  ExitRule() = default;
  ExitRule(const ExitRule&) = delete;
  ExitRule& operator=(const ExitRule&) = delete;
  virtual ~ExitRule() = default;

  [[nodiscard]] virtual bool leaves(const AfterLoop& token) const = 0;
  /// Whether `change` and `acceleration` are to be computed for it.
  [[nodiscard]] virtual bool reads_changes() const { return false; }
  /// Whether `entropy`, `kl` and `agreeing` are: each loop then costs a product with the head, so
  /// that such a rule serves analysis alone.
  [[nodiscard]] virtual bool reads_head() const { return false; }
};

/// How one token of a pass leaves its layers.
struct TokenExit {
  const ExitRule* rule = nullptr;  ///< null: after the last loop
  bool hard = false;               ///< the layer's output is h^(tau) and not the mixture
  int64_t max_loops = 0;           ///< loop budget; 0: each layer's own N
};

}  // namespace loopbank
