#pragma once
/// What the head says of tokens between two loops of a layer: for the exit rules that read it, which
/// serve analysis alone.
///
///     y^(t) = sum_{u<t} P_u h^(u) + (1 - C_{t-1}) h^(t)      the output if the token left now
///     q_t   = softmax(head(final_norm(y^(t))))               as if the layer were the last one
///     entropy = -sum q_t ln q_t        kl = sum q_t ln(q_t / q_{t-1})        argmax q_t
///
/// A token that leaves hard would leave by y^(t) = h^(t).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "loopbank/model/exit_rule.h"
#include "loopbank/model/pass.h"

namespace loopbank {

/// Whether a token's rule reads the head.
[[nodiscard]] bool reads_head(const TokenExit& exit);

class HeadReader {
 public:
  /// A new layer.
  void begin();

  /// Reads the head for those tokens that may leave by a rule that asks for it.
  /// @param t          the loop that has run
  /// @param h          [r, D] fp32, h^(t)
  /// @param exits      of the pass's tokens
  /// @param rows       [r] of the pass
  /// @param here       [r] P_t
  /// @param rest       [r] 1 - C_t
  /// @param num_loops  N of the layer in this pass
  void read(const Pass& pass, int64_t t, const at::Tensor& h, const std::vector<TokenExit>& exits,
            std::span<const int64_t> rows, const float* here, const float* rest, int64_t num_loops);
  /// Writes what was read of token i of the r; nothing where its rule does not ask.
  void tell(size_t i, AfterLoop& token) const;
  /// Leaves those tokens that run the next loop.
  void keep(const std::vector<int64_t>& stayed);

  /// Tokens that the last `read` read the head for.
  [[nodiscard]] int64_t num_read() const { return num_read_; }

 private:
  struct Reading {
    double entropy = 0.0;
    double kl = 0.0;
    int64_t agreeing = 0;  // loops in a row with this argmax; 0: never read
    int64_t argmax = -1;
  };
  /// @param logits  [V]
  /// @param log_q   [V] of the loop before, where there was one; becomes that of this one
  static void take(std::span<const float> logits, std::span<float> log_q, Reading& reading);

  at::Tensor sum_;    // [r, D] sum of P_u h^(u), u <= t; of none that leaves hard
  at::Tensor log_q_;  // [r, V]
  std::vector<Reading> readings_;
  int64_t num_read_ = 0;
};

}  // namespace loopbank
