#pragma once
/// A residual branch before it is added, so that a block reads as its equation and runs as fused
/// ops:
///
///     a = h + s * attention(rms_norm(h))
///           |   |     |        +---- Normed (linear.h): an input and the norm it is due, which the
///           |   |     |              first product of attention computes within itself
///           |   |     +------------- a ResidualBranch: how to compute g, and h + s g in one op
///           |   +------------------- ScaledBranch: the same, with s
///           +----------------------- computes h + s g
///
/// A branch refers to the modules and the place that it was made from: add it at once.

#include <ATen/core/Tensor.h>

#include <concepts>
#include <utility>

namespace loopbank {

/// g [B, T, D] and h + s * g, equal to the definition; s is a scalar, undefined for 1.
template <typename G>
concept ResidualBranch = requires(const G& g, const at::Tensor& h, const at::Tensor& s) {
  { g.value() } -> std::convertible_to<at::Tensor>;
  { g.added_to(h, s) } -> std::convertible_to<at::Tensor>;
};

/// g by its value.
class Branch {
 public:
  /// @param g  [B, T, D]
  explicit Branch(at::Tensor g);
  /// @param of     what g was computed from, by an op that gave it back as `again`: where g is added
  ///               to `of`, both gradients meet in that op
  Branch(at::Tensor g, at::Tensor of, at::Tensor again);

  [[nodiscard]] const at::Tensor& value() const { return g_; }
  [[nodiscard]] at::Tensor added_to(const at::Tensor& h, const at::Tensor& s) const;

 private:
  at::Tensor g_;
  at::Tensor of_;
  at::Tensor again_;
};

template <ResidualBranch G>
struct ScaledBranch {
  const at::Tensor& s;
  G g;
};

/// s * g. s is a scalar; undefined for 1.
template <ResidualBranch G>
[[nodiscard]] ScaledBranch<G> operator*(const at::Tensor& s, G g) {
  return {s, std::move(g)};
}

/// h + s * g, [B, T, D] in the type of h.
template <ResidualBranch G>
[[nodiscard]] at::Tensor operator+(const at::Tensor& h, const ScaledBranch<G>& branch) {
  return branch.g.added_to(h, branch.s);
}

/// h + g.
template <ResidualBranch G>
[[nodiscard]] at::Tensor operator+(const at::Tensor& h, const G& g) {
  return g.added_to(h, /*s=*/{});
}

}  // namespace loopbank
