/// feed_forward (feed_forward.h) of fp32 states on the CPU.

#include "loopbank/ops/cpu/fused.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cast.h"
#include "loopbank/ops/cpu/elementwise_rows.h"
#include "loopbank/ops/cpu/row_blocks.h"
#include "loopbank/ops/kept.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/elementwise_kernels.h"
#include "loopbank/ops/simd/norm_kernels.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A block's rows of a part of F and the weights of that part share the second-level cache.
constexpr int64_t kWidthAtATime = 512;
constexpr int64_t kVector = 32;  // parts begin at a multiple of it

/// What the steps of the branch know: sizes, weights, and how rows and F are cut.
struct Branch {
  at::Tensor a;  ///< [..., D]
  FeedForwardWeights weights;
  float scale = 1.0F;
  RowBlocks blocks;
  int64_t D = 0, F = 0;
  int64_t width = 0;  ///< of F at a time

  Branch(const at::Tensor& state, const FeedForwardWeights& with, float s)
      : a(state), weights(with), scale(s), blocks(state), D(state.size(-1)), F(with.down->in()) {
    width = equal_parts(F, kWidthAtATime, kVector);
  }

  [[nodiscard]] at::ScalarType dtype() const { return weights.down->compute_dtype(); }
  /// For all rows, in the compute dtype.
  [[nodiscard]] at::Tensor buffer(int64_t columns) const {
    return at::empty({blocks.rows, columns}, at::TensorOptions().dtype(dtype()));
  }

  /// Gate and up from a row and a column of F on; null where they are not kept.
  struct Part {
    Values gate, up;
  };
  [[nodiscard]] Part part_of(const at::Tensor& gate_up, int64_t row, int64_t column) const {
    return gate_up.defined() ? Part{.gate = values_from(gate_up, row, column),
                                    .up = values_from(gate_up, row, F + column)}
                             : Part{};
  }

  /// visit(index of a part of F, its first column, its columns).
  template <typename Visit>
  void for_parts(const Visit& visit) const {
    for (int64_t first = 0; first < F; first += width) {
      visit(static_cast<size_t>(first / width), first, std::min(width, F - first));
    }
  }
};

/// Keeps `inverse` [rows] of the norm and, where it is defined, `gate_up` [rows, 2F].
at::Tensor run_forward(const Branch& branch, const at::Tensor& inverse, const at::Tensor& gate_up) {
  const auto& [a, weights, scale, blocks, D, F, width] = branch;
  const auto y = at::empty(a.sizes(), a.options());
  const auto& into = weights.gate_up->forward_parts(width, blocks.block);
  const auto& out_of = weights.down->forward_parts(D, blocks.block).front();
  const auto norm_weight = dense(weights.norm);
  blocks.for_each([&](int64_t /*index*/, int64_t first, int64_t count) {
    const auto num_rows = static_cast<size_t>(count);
    const auto room = thread_matrices(branch.dtype(), count, {D, F, D, 2 * width});
    const auto &x = room[0], &inner = room[1], &fed = room[2];
    rms_norm_rows({.x = values_from(a, first),
                   .weight = const_floats(norm_weight),
                   .y = values_of(x),
                   .inverse = floats(inverse) + first,
                   .width = static_cast<size_t>(D),
                   .eps = static_cast<float>(weights.eps)},
                  0, num_rows);
    branch.for_parts([&](size_t part, int64_t column, int64_t columns) {
      const Matrix both{room[3].data, x.dtype, count, 2 * columns, 2 * columns};
      gemm(x, into[part], both);
      const auto wide = static_cast<size_t>(columns);
      const auto kept = branch.part_of(gate_up, first, column);
      swiglu_rows({.gate = values_of(both),
                   .up = values_of(both, columns),
                   .stride = 2 * wide,
                   .y = values_of(inner, column),
                   .y_stride = static_cast<size_t>(F),
                   .width = wide,
                   .gate_copy = kept.gate,
                   .up_copy = kept.up,
                   .copy_stride = static_cast<size_t>(2 * F)},
                  0, num_rows);
    });
    gemm(inner, out_of, fed);
    scaled_residual_values({.state = const_floats(a) + first * D,
                            .branch = values_of(fed),
                            .y = floats(y) + first * D,
                            .scale = scale},
                           0, num_rows * static_cast<size_t>(D));
  });
  return y;
}

/// What the products of the weights' gradients read, and what else the backward pass gives.
struct Gradients {
  at::Tensor da = {};      ///< [..., D]
  at::Tensor dscale = {};  ///< [1] fp32
  at::Tensor dnorm = {};   ///< [D] fp32
  at::Tensor x;            ///< [rows, D] norm of a
  at::Tensor dgate_up;     ///< [rows, 2F], in the memory of gate_up
  at::Tensor inner;        ///< [rows, F], times s
  at::Tensor gradient;     ///< [rows, D] dy
};

/// The gradient of gate and up takes their place.
Gradients run_backward(const Branch& branch, const at::Tensor& inverse, const at::Tensor& gate_up,
                       const at::Tensor& dy) {
  const auto& [a, weights, scale, blocks, D, F, width] = branch;
  // The larger first: it finds room where the smaller one would have left too little.
  const auto& through_gate_up = weights.gate_up->backward_parts(D, blocks.block).front();
  const auto& through_down = weights.down->backward_parts(width, blocks.block);
  const auto norm_weight = dense(weights.norm);
  // A block's own sums, added up in one order whichever thread comes first.
  const auto sums = at::zeros({blocks.count(), D + 1}, at::kFloat);
  Gradients all{.da = at::empty(a.sizes(), a.options()),
                .x = branch.buffer(D),
                .dgate_up = gate_up,
                .inner = branch.buffer(F),
                .gradient = branch.buffer(D)};
  blocks.for_each([&](int64_t index, int64_t first, int64_t count) {
    const auto num_rows = static_cast<size_t>(count);
    auto* const sums_of_block = floats(sums) + index * (D + 1);
    const auto room = thread_matrices(branch.dtype(), count, {D, width});
    const auto& dx = room[0];
    const auto gradient = all.gradient.narrow(0, first, count);
    copy_into(gradient, dy.reshape({blocks.rows, D}).narrow(0, first, count));
    branch.for_parts([&](size_t part, int64_t column, int64_t columns) {
      const Matrix dinner{room[1].data, dx.dtype, count, columns, columns};
      gemm(as_matrix(gradient), through_down[part], dinner);
      const auto wide = static_cast<size_t>(columns);
      const auto both = branch.part_of(gate_up, first, column);
      sums_of_block[D] += swiglu_backward_rows({.dy = values_of(dinner),
                                                .dy_stride = wide,
                                                .gate = both.gate,
                                                .up = both.up,
                                                .dgate = both.gate,
                                                .dup = both.up,
                                                .stride = static_cast<size_t>(2 * F),
                                                .y = values_from(all.inner, first, column),
                                                .y_stride = static_cast<size_t>(F),
                                                .width = wide,
                                                .scale = scale},
                                               0, num_rows);
    });
    gemm(as_matrix(all.dgate_up).row_range(first, count), through_gate_up, dx);
    rms_norm_backward_rows({.dy = values_of(dx),
                            .x = values_from(a, first),
                            .weight = const_floats(norm_weight),
                            .inverse = const_floats(inverse) + first,
                            .dx = values_from(all.da, first),
                            .width = static_cast<size_t>(D),
                            .more = const_floats(dy) + first * D,
                            .y = values_from(all.x, first)},
                           0, num_rows, sums_of_block);
  });
  const auto total = sums.sum(0);
  all.dnorm = total.narrow(0, 0, D);
  all.dscale = total.narrow(0, D, 1);
  return all;
}

/// Where the gradients of the weights go; null for those that need none.
struct WeightGradients {
  std::shared_ptr<WeightGradient> gate_up, down;
};

class FusedFeedForward : public torch::autograd::Function<FusedFeedForward> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& a, const at::Tensor& norm,
                            const c10::optional<at::Tensor>& /*token of gate and up*/,
                            const c10::optional<at::Tensor>& /*token of down*/,
                            const c10::optional<at::Tensor>& scale,
                            const FeedForwardWeights& weights, const WeightGradients& to,
                            bool keeps) {
    const auto dense_a = dense(a);
    Branch branch(dense_a, weights, scale ? *scale->data_ptr<float>() : 1.0F);
    const auto inverse = at::empty({branch.blocks.rows}, at::kFloat);
    const auto gate_up = keeps ? branch.buffer(2 * branch.F) : at::Tensor();
    auto y = run_forward(branch, inverse, gate_up);
    // Autograd looks after the tensors.
    branch.a = at::Tensor();
    branch.weights.norm = at::Tensor();
    ctx->save_for_backward({dense_a, norm, inverse});
    // The backward pass takes it out and puts its gradient there.
    ctx->saved_data[kGateUp] = gate_up;
    ctx->saved_data["scale_shape"] = scale ? c10::IValue(scale->sizes()) : c10::IValue();
    ctx->saved_data["branch"] = keep(std::move(branch));
    ctx->saved_data["gradients"] = keep(to);
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    auto branch = kept<Branch>(ctx->saved_data["branch"]);
    branch.a = saved[0];
    branch.weights.norm = saved[1];
    auto all = run_backward(branch, saved[2], take_gate_up(ctx, branch), dense(gradients[0]));
    const auto to = kept<WeightGradients>(ctx->saved_data["gradients"]);
    // A sum that this pass does not hand on would be found by the next one. Autograd counts the
    // inputs that were there.
    auto is_asked_for = [ctx, input = size_t{2}](const auto& gradient) mutable {
      return gradient != nullptr && ctx->needs_input_grad(input++);
    };
    const bool gate_up_asked_for = is_asked_for(to.gate_up);
    if (is_asked_for(to.down)) {
      to.down->add(as_matrix(all.gradient), as_matrix(all.inner));
    }
    all.gradient = all.inner = at::Tensor();
    if (gate_up_asked_for) {
      to.gate_up->add(as_matrix(all.dgate_up), as_matrix(all.x));
    }
    variable_list result(8);
    result[0] = all.da;
    result[1] = all.dnorm;
    if (const auto& shape = ctx->saved_data["scale_shape"]; !shape.isNone()) {
      result[4] = all.dscale.reshape(shape.toIntVector());
    }
    return result;
  }

 private:
  static constexpr auto kGateUp = "gate_up";

  /// Gate and up [rows, 2F]; a second pass through the same graph computes them again.
  static at::Tensor take_gate_up(AutogradContext* ctx, const Branch& branch) {
    auto& kept = ctx->saved_data[kGateUp];
    if (kept.isNone()) {
      const auto again = branch.buffer(2 * branch.F);
      run_forward(branch, at::empty({branch.blocks.rows}, at::kFloat), again);
      branch.weights.gate_up->forget_forward();
      branch.weights.down->forget_forward();
      return again;
    }
    return std::exchange(kept, c10::IValue()).toTensor();
  }
};

}  // namespace

at::Tensor cpu::feed_forward(const at::Tensor& a, const FeedForwardWeights& weights,
                             const at::Tensor& scale) {
  const ProfiledOp op("loopbank::feed_forward");
  const WeightGradients to{.gate_up = weights.gate_up->gradient(),
                           .down = weights.down->gradient()};
  return FusedFeedForward::apply(a, weights.norm, token_of(to.gate_up), token_of(to.down),
                                 scale.defined() ? c10::make_optional(scale) : c10::nullopt,
                                 weights, to, at::GradMode::is_enabled());
}

}  // namespace loopbank::ops
