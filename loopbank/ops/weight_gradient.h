#pragma once
/// The gradient of weights that several uses in one pass share: the loops of a layer.
///
/// Why: autograd would have each use return a gradient of its own and add them up, a matrix read
/// twice and written twice where the product could have added to it. Here uses hold a token in the
/// place of the weights. Autograd calls the token's backward function when all of them are done; it
/// hands the sum on to the weights.

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

#include "loopbank/ops/gemm.h"

namespace loopbank::ops {

class WeightGradient {
 public:
  /// @param masters  one [out_k, in] per layer, at least one of which needs a gradient
  /// @param done     called when no use needs the weights any more in a backward pass: before the
  ///                 last use's product, which then finds their memory, and when all are through
  WeightGradient(const std::vector<at::Tensor>& masters, std::function<void()> done);

  /// An input of each use's autograd function; the gradient that this one returns for it is not
  /// looked at and may be undefined.
  [[nodiscard]] const at::Tensor& token() const { return token_; }

  /// Announces a use, which will call `add` once in a backward pass.
  void expect_use();

  /// dW += dy^T x in fp32. Backward functions of the uses call it in the passes that ask for the
  /// token's gradient: what a pass does not hand on would leak into the next. After it the use no
  /// longer needs the weights.
  /// @param dy  [rows, out], of all layers side by side
  /// @param x   [rows, in]
  void add(const Matrix& dy, const Matrix& x);

 private:
  struct Sum;
  class Token;

  // The token's node keeps the sum and not this object, which keeps the token: no cycle.
  std::shared_ptr<Sum> sum_;
  at::Tensor token_;
};

/// The token as an input of an autograd function; none for null.
[[nodiscard]] c10::optional<at::Tensor> token_of(const std::shared_ptr<WeightGradient>& gradient);

}  // namespace loopbank::ops
