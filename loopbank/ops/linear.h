#pragma once
/// Linear layers without bias; those that read the same input are joined into one product.
///
/// A weight is prepared once per pass, however many loops read it: cast to the compute dtype,
/// joined with its neighbours, laid out for oneDNN. The forward layout can be dropped when its
/// layer is done; the backward layout is created when the first gradient arrives and freed with the
/// last. So the prepared weights of one layer at a time are in memory, not those of the whole
/// model.
///
/// Rejected: copies kept from step to step. They cost twice the memory of the weights in bf16, and
/// preparing them takes only 1 to 2 % of a step. Inference, whose weights stay, keeps them: see
/// inference_weights.h.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "loopbank/ops/check.h"
#include "loopbank/ops/gemm.h"
#include "loopbank/ops/inference_weights.h"
#include "loopbank/ops/weight_gradient.h"

namespace loopbank::ops {

/// linear against exact arithmetic on the same inputs, for sums of up to 200 terms about 1.
inline constexpr Tolerance kLinearTolerance{.fp32 = 2e-5, .bf16 = kOneRoundingToBf16 + 2e-5};

/// The weights of linear layers that read the same input, prepared for one pass or, without
/// gradients, for all passes of inference.
class LinearWeights {
 public:
  /// @param masters  one [out_k, in] per layer, fp32 (or the compute dtype)
  /// @param compute  dtype of the products
  /// @throws Error kShape when `in` differs or there is no weight
  LinearWeights(std::vector<at::Tensor> masters, at::ScalarType compute);

  /// Weights for inference: prepared already, of which the ops take products that are not
  /// differentiable and do not depend on the company of a row. They have no masters.
  /// @throws Error kConfig, then, from joined, multiply_back and the parts below
  LinearWeights(std::shared_ptr<const InferenceWeights> prepared, at::ScalarType compute);

  /// What the products of inference read; null where the weights are for one pass.
  [[nodiscard]] const std::shared_ptr<const InferenceWeights>& prepared() const {
    return prepared_;
  }
  /// What products with one row of weights for inference bring nearer from now on.
  void read_ahead(const ReadAhead& ahead) { ahead_ = ahead; }
  [[nodiscard]] const std::vector<at::Tensor>& masters() const { return masters_; }
  [[nodiscard]] at::ScalarType compute_dtype() const { return compute_; }
  /// Width of the input.
  [[nodiscard]] int64_t in() const { return in_; }
  /// Width of the output of each layer.
  [[nodiscard]] const std::vector<int64_t>& outs() const { return outs_; }
  /// Total width of the outputs.
  [[nodiscard]] int64_t out() const { return out_; }

  /// W [out, in] in the compute dtype, cast and joined once; differentiable in the masters.
  [[nodiscard]] const at::Tensor& joined();

  /// y = x W^T, not differentiable.
  /// @param x [rows, in], y [rows, out], both in the compute dtype; with weights for inference in
  ///          either of fp32 and bf16
  void multiply(const Matrix& x, const Matrix& y);

  /// dx = dy W, not differentiable.
  void multiply_back(const Matrix& dy, const Matrix& dx);

  /// W^T [in, out] cut by its columns, for products of `rows` rows at a time: each part has `width`
  /// outputs of every layer side by side, or what is left of them; `out` or more gives one part,
  /// the whole. Prepared in the first call with a width; not to be called from several threads.
  const std::vector<PackedMatrix>& forward_parts(int64_t width, int64_t rows);

  /// W [out, in] cut by its columns in the same way: parts of `width` inputs.
  const std::vector<PackedMatrix>& backward_parts(int64_t width, int64_t rows);

  /// Where the gradients of the uses go, to be asked for once per use; null if no master needs one
  /// or no graph is built.
  [[nodiscard]] std::shared_ptr<WeightGradient> gradient();

  /// Frees what the forward pass prepared; another product prepares it again. Weights for inference
  /// stay.
  void forget_forward();

 private:
  /// A weight laid out for oneDNN, whole or cut.
  struct Parts {
    int64_t width = 0;
    std::vector<PackedMatrix> matrices;
  };

  [[nodiscard]] at::Tensor joined_copy() const;
  void expect_masters() const;

  std::vector<at::Tensor> masters_;
  std::shared_ptr<const InferenceWeights> prepared_;
  ReadAhead ahead_ = {};
  at::ScalarType compute_;
  int64_t in_ = 0;
  std::vector<int64_t> outs_;
  int64_t out_ = 0;
  at::Tensor joined_;
  Parts forward_parts_;  // of W^T [in, out]
  // Of W [out, in]; the gradient, done, empties them, and its node may outlive these weights.
  std::shared_ptr<Parts> backward_parts_ = std::make_shared<Parts>();
  std::shared_ptr<WeightGradient> gradient_;
};

/// [x W_1^T | x W_2^T | ...], the outputs side by side.
///
/// @param x        [..., in]  in the weights' compute dtype
/// @param weights  of layers with the same input
/// @return [..., out_1 + out_2 + ...] in that dtype; differentiable in x and in every master, or
/// not at all with weights for inference
/// @throws Error kShape when the last axis of x differs from `in`, kConfig where a graph of weights
/// for inference would be built
/// Numerics: sums in fp32, one rounding; gradients of the masters in fp32, without rounding to
/// bf16 in the fused version; within kLinearTolerance.
at::Tensor linear(const at::Tensor& x, const std::shared_ptr<LinearWeights>& weights);

/// @throws Error kConfig `op: expected ...` where autograd would need a gradient of `x` through
/// weights for inference
void expect_no_graph(std::string_view op, const at::Tensor& x);

}  // namespace loopbank::ops
