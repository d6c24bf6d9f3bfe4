#pragma once
/// Halting: from the logit and the probability of stopping at each loop to the mixture of the loops'
/// states.

#include <ATen/core/Tensor.h>

#include <vector>

#include "loopbank/ops/check.h"

namespace loopbank::ops {

/// A probability against exact arithmetic, and the sum of a token's probabilities against 1.
inline constexpr Tolerance kHaltingDistributionTolerance{.fp32 = 1e-6, .bf16 = 1e-6};

/// A logit of D = 4096 standard normal values against exact arithmetic.
inline constexpr Tolerance kRouterTolerance{.fp32 = 2e-5, .bf16 = kOneRoundingToBf16};

/// The mixture against exact arithmetic; n, in fp32, within its fp32 part.
inline constexpr Tolerance kHaltingMixTolerance{.fp32 = 2e-6, .bf16 = kOneRoundingToBf16};

/// The probability that a token stops after each loop; the last loop takes the rest.
///
///     P_t = p_t prod_{i<t} (1 - p_i), t < N       P_N = prod_{i<N} (1 - p_i)   (SPEC 1)
///
/// @param logits  N tensors [B, T], p_t = sigmoid(logit_t); the last one is not used
/// @return P [N, B, T] fp32 (fp64 for fp64), summing to 1 over N; differentiable in every used
/// logit
/// @throws Error kShape when there is no loop or the shapes differ
/// Numerics: the products are sums of log-sigmoids, so that no probability underflows to a wrong 0;
/// within kHaltingDistributionTolerance.
at::Tensor halting_distribution(const std::vector<at::Tensor>& logits);

/// The router's logit for stopping after a loop.
///
///     logit = w . [h ; step] + b                                      (SPEC 1, adaptive layer)
///
/// @param state   [B, T, D]   fp32 (fp64 for fp64), h after the loop
/// @param weight  [1, D + 1]  fp32, w
/// @param bias    [1]         fp32, b
/// @param step    (t - 1) / (N - 1), the share of the loops already run; 0 when N = 1
/// @return [B, T] in the dtype of state; differentiable in state, weight and bias
/// @throws Error kShape when D differs or there is more than one bias
/// Numerics: sums in fp32 (fp64 for fp64); within kRouterTolerance.
at::Tensor router_logits(const at::Tensor& state, const at::Tensor& weight, const at::Tensor& bias,
                         double step);

struct HaltingMix {
  at::Tensor state;           ///< y [B, T, D] in the dtype of the states
  at::Tensor expected_loops;  ///< n [B, T] in loops, 1 to N, fp32
};

/// Mixes the hidden states of the N loops by the probability that a token stops after each.
///
///     y = sum_t P_t h^(t)        n = sum_t t P_t                      (SPEC 1, adaptive layer)
///
/// @param states   N tensors [B, T, D], the state after each loop
/// @param halting  [N, B, T] fp32, P_t in [0, 1], summing to 1 over N
/// @throws Error kShape when there is no loop or N, B, T or D differ
/// Numerics: sums in fp32 (fp64 for fp64 states), one rounding at the end; within
/// kHaltingMixTolerance.
HaltingMix mix_by_halting(const std::vector<at::Tensor>& states, const at::Tensor& halting);

}  // namespace loopbank::ops
