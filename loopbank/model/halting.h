#pragma once
/// The halting rule: the probability that a token stops after loop t (SPEC 1, adaptive layer).
///
/// A layer calls `logit` after every loop and `distribution` with all of the logits. Another rule is
/// another pair of these two functions (docs/change-the-model.md).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "loopbank/model/parameters.h"

namespace loopbank {

class Halting {
 public:
  /// @param num_loops  N, loops that the layer is trained with
  /// @param bias_init  b at start; p_t is close to sigmoid(b) then, for every token and loop
  Halting(Parameters& parameters, const std::string& layer_name, int64_t hidden_size,
          int64_t num_loops, double bias_init);

  ///     p_t = sigmoid(w . [h ; (t-1)/(N-1)] + b)        step feature 0 when N = 1
  ///
  /// @param h  [B, T, D] in the state type: the router decides in fp32
  /// @param t  the loop, from 1
  /// @return the logit of p_t, [B, T] in the state type
  [[nodiscard]] at::Tensor logit(const at::Tensor& h, int64_t t) const;

  ///     P_t = p_t prod_{i<t} (1 - p_i), t < N           the last loop takes the rest
  ///
  /// @param logits  one [B, T] a loop that was run; under a loop budget fewer than N, and the last
  ///                of them is the last loop
  /// @return P [N, B, T], summing to 1 over the loops
  [[nodiscard]] at::Tensor distribution(const std::vector<at::Tensor>& logits) const;

 private:
  int64_t num_loops_;
  at::Tensor w_;  // [1, D + 1], the step feature's last
  at::Tensor b_;  // [1]
};

}  // namespace loopbank
