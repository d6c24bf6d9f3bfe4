#pragma once
/// Halting: from the chance to stop at each loop to the mixture of the loops' states.

#include <ATen/core/Tensor.h>

#include <vector>

namespace loopbank::ops {

/// The chance that a token stops after each loop; the last loop takes the rest.
///
///     P_t = p_t prod_{i<t} (1 - p_i), t < N       P_N = prod_{i<N} (1 - p_i)   (SPEC 1)
///
/// @param logits  N tensors [B, T] fp32, p_t = sigmoid(logit_t); the last one is not used
/// @return P [N, B, T] fp32, summing to 1 over N; differentiable in every used logit
/// Numerics: the products are sums of log-sigmoids, so that no chance underflows to a wrong 0.
at::Tensor halting_distribution(const std::vector<at::Tensor>& logits);

struct HaltingMix {
  at::Tensor state;           ///< y [B, T, D]
  at::Tensor expected_loops;  ///< n [B, T] in loops, 1 to N, fp32
};

/// Mixes the hidden states of the N loops by the chance that a token stops after each.
///
///     y = sum_t P_t h^(t)        n = sum_t t P_t                      (SPEC 1, adaptive layer)
///
/// @param states   N tensors [B, T, D], the state after each loop
/// @param halting  [N, B, T] fp32, P_t in [0, 1], summing to 1 over N
/// @throws Error kShape when N, B or T differ
/// Numerics: sums in fp32 (fp64 for fp64 states).
HaltingMix mix_by_halting(const std::vector<at::Tensor>& states, const at::Tensor& halting);

}  // namespace loopbank::ops
