#pragma once
/// The gates of the memory banks and what they let in; paper eq. 8-9, SPEC 1, Memory.
///
///     g = sigmoid(W_g h + b_g)        memory(h) = g_L * (W_L m_L) + g_G * (W_G m_G)
///
/// Another gate is another `GatedSum`: `gate` is the equation of one, `operator+` the sum.

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "loopbank/model/config.h"
#include "loopbank/model/linear.h"

namespace loopbank {

/// W_g and b_g of one bank.
struct Gate {
  /// @param name  of the gate: "layers.0.memory.local_gate"
  Gate(Parameters& parameters, const std::string& name, const ModelConfig& config);

  Linear weight;
  at::Tensor bias;  ///< [D]
};

/// g * m, one bank's term of the sum.
struct Gated {
  const Gate& gate;
  at::Tensor memory;  ///< m [B, T, D] in the compute type
};
[[nodiscard]] Gated operator*(const Gate& gate, const at::Tensor& memory);

/// sum_k g_k * m_k before it is added: the W_k h of all gates are one product, and the rest, with
/// the addition, is one op. Without terms it adds nothing.
class GatedSum {
 public:
  GatedSum() = default;
  /// @param h  [B, T, D], what the gates read
  GatedSum(const at::Tensor& h, std::vector<Gated> terms, const Place& place);

  ///     g_k = sigmoid(W_k h + b_k)
  ///
  /// @param k  the term, from 0
  /// @return [B, T, D] in the state type
  [[nodiscard]] at::Tensor gate(size_t k) const;

  ///     e = h + sum_k g_k * m_k
  ///
  /// @param h  [B, T, D] in the state type
  /// @return e [B, T, D] in the state type
  friend at::Tensor operator+(const at::Tensor& h, const GatedSum& sum);

 private:
  std::vector<Gated> terms_;
  at::Tensor logits_;  // W_k h side by side [B, T, K D], in the compute type
};

}  // namespace loopbank
