#pragma once
/// A residual branch before it is added, so that a block reads as its equation and runs as fused
/// ops:
///
///     a = h + s * attention(rms_norm(h))
///           |   |     |        +---- Normed (linear.h): an input and the norm it is due, which the
///           |   |     |              first product of attention computes within itself
///           |   |     +------------- Branch: how to compute g, and how to compute h + s g in one op
///           |   +------------------- ScaledBranch: the same, with s
///           +----------------------- computes h + s g
///
/// A branch refers to the modules and the place that it was made from: add it at once.

#include <ATen/core/Tensor.h>

#include <functional>

namespace loopbank {

class Branch {
 public:
  /// g by its value, [B, T, D].
  explicit Branch(at::Tensor g);

  using Definition = std::function<at::Tensor()>;
  using FusedSum = std::function<at::Tensor(const at::Tensor& s)>;
  /// g by its definition, and h + s * g in one op for the h that g was computed from.
  /// @param g    returns g [B, T, D]
  /// @param h    [B, T, D]
  /// @param sum  returns h + s * g, equal to the definition; s is undefined for 1
  Branch(Definition g, at::Tensor h, FusedSum sum);

  /// g [B, T, D].
  [[nodiscard]] at::Tensor value() const { return g_(); }

  /// h + s * g: in one op where `h` is the tensor that g was computed from, else by definition.
  /// @param s  a scalar; undefined for 1
  [[nodiscard]] at::Tensor added_to(const at::Tensor& h, const at::Tensor& s) const;

 private:
  Definition g_;
  at::Tensor h_;
  FusedSum sum_;  // empty where g is known by its value
};

struct ScaledBranch {
  at::Tensor s;
  Branch g;
};

/// s * g. s is a scalar; undefined for 1.
[[nodiscard]] ScaledBranch operator*(const at::Tensor& s, Branch g);
/// h + s * g, [B, T, D] in the type of h.
[[nodiscard]] at::Tensor operator+(const at::Tensor& h, const ScaledBranch& branch);
/// h + g.
[[nodiscard]] at::Tensor operator+(const at::Tensor& h, const Branch& g);

}  // namespace loopbank
