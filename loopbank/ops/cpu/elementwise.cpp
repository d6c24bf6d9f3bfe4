/// swiglu, scaled_residual and add_biases (elementwise.h) on the CPU: a pass over memory forward, a
/// pass backward. swiglu saves its input; scaled_residual the scale, and the branch where the scale
/// needs a gradient; add_biases nothing.

#include "loopbank/ops/cpu/fused.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/util/DimVector.h>
#include <c10/util/SmallVector.h>

#include <vector>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cpu/elementwise_rows.h"
#include "loopbank/ops/cpu/row_blocks.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/elementwise_kernels.h"
#include "loopbank/ops/workspace.h"

namespace loopbank::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// An exponential takes as long as this many values of a plain sum.
constexpr int64_t kValuesPerExponential = 3;

/// @param x  [..., 2F], dense
at::Tensor swiglu_of(const at::Tensor& x) {
  const auto width = x.size(-1) / 2;
  c10::DimVector shape(x.sizes());
  shape.back() = width;
  const auto y = new_tensor(shape, x.scalar_type());  // [..., F]
  const auto F = static_cast<size_t>(width);
  const SwigluForward swiglu{.gate = const_values(x),
                             .up = values_from(x, /*row=*/0, width),
                             .stride = 2 * F,
                             .y = values(y),
                             .y_stride = F,
                             .width = F};
  for_row_ranges(y.numel() / width, kValuesPerExponential * width,
                 [&](size_t first, size_t last) { swiglu_rows(swiglu, first, last); });
  return y;
}

class Swiglu : public torch::autograd::Function<Swiglu> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate_up) {
    const auto x = dense(gate_up);  // [..., 2F]
    ctx->save_for_backward({x});
    return swiglu_of(x);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto gate_up = ctx->get_saved_variables()[0];  // [..., 2F]
    const auto width = gate_up.size(-1) / 2;
    const auto dy = dense(gradients[0]);  // [..., F]
    const auto dgate_up = at::empty_like(gate_up);
    const auto F = static_cast<size_t>(width);
    const SwigluBackward swiglu{.dy = const_values(dy),
                                .dy_stride = F,
                                .gate = const_values(gate_up),
                                .up = const_values(gate_up.narrow(-1, width, width)),
                                .dgate = values(dgate_up),
                                .dup = values(dgate_up.narrow(-1, width, width)),
                                .stride = 2 * F,
                                .width = F};
    for_row_ranges(dy.numel() / width, kValuesPerExponential * width,
                   [&](size_t first, size_t last) { swiglu_backward_rows(swiglu, first, last); });
    return {dgate_up};
  }
};

/// Calls visit(first, last) for the values of rows `first_row` to `last_row`.
template <typename Visit>
auto visit_values(size_t first_row, size_t last_row, int64_t width, const Visit& visit) {
  return visit(first_row * static_cast<size_t>(width), last_row * static_cast<size_t>(width));
}

/// @param state, branch  [..., D], dense
/// @param scale          undefined for 1
at::Tensor scaled_residual_of(const at::Tensor& state, const at::Tensor& branch,
                              const at::Tensor& scale) {
  const auto width = state.size(-1);
  const auto y = new_tensor(state.sizes(), at::kFloat);
  const ResidualForward residual{.state = const_floats(state),
                                 .branch = const_values(branch),
                                 .y = floats(y),
                                 .scale = scale.defined() ? *scale.data_ptr<float>() : 1.0F};
  for_row_ranges(state.numel() / width, width, [&](size_t first, size_t last) {
    visit_values(first, last, width,
                 [&](size_t from, size_t to) { scaled_residual_values(residual, from, to); });
  });
  return y;
}

class ScaledResidual : public torch::autograd::Function<ScaledResidual> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& state, const at::Tensor& branch,
                            const c10::optional<at::Tensor>& scale) {
    const auto dense_branch = dense(branch);  // [..., D]
    ctx->saved_data["branch_dtype"] = branch.scalar_type();
    if (scale) {
      ctx->save_for_backward({*scale, scale->requires_grad() ? dense_branch : at::Tensor()});
    }
    return scaled_residual_of(dense(state), dense_branch, scale ? *scale : at::Tensor());
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto& dstate = gradients[0];  // of state and result alike
    const auto branch_dtype = ctx->saved_data["branch_dtype"].toScalarType();
    const auto saved = ctx->get_saved_variables();
    if (saved.empty()) {
      return {dstate, ctx->needs_input_grad(1) ? dstate.to(branch_dtype) : at::Tensor(),
              at::Tensor()};
    }
    const auto& scale = saved[0];
    const auto& branch = saved[1];
    const auto width = dstate.size(-1);
    const auto dy = dense(dstate);  // [..., D]
    const auto dbranch = ctx->needs_input_grad(1)
                             ? at::empty(dy.sizes(), dy.options().dtype(branch_dtype))
                             : at::Tensor();
    const ResidualBackward residual{.dy = const_floats(dy),
                                    .branch = const_values(branch),
                                    .dbranch = values(dbranch),
                                    .scale = *scale.data_ptr<float>()};
    if (!branch.defined() && !dbranch.defined()) {
      return {dstate, at::Tensor(), at::Tensor()};
    }
    const auto dscale =
        sums_over_rows(dy.numel() / width, width, 1, [&](size_t first, size_t last, float* sum) {
          *sum += visit_values(first, last, width, [&](size_t from, size_t to) {
            return scaled_residual_backward_values(residual, from, to);
          });
        });
    return {dstate, dbranch, branch.defined() ? dscale.reshape(scale.sizes()) : at::Tensor()};
  }
};

/// @param x  [..., n_1 + n_2 + ...], dense
at::Tensor add_biases_of(const at::Tensor& x, at::TensorList biases) {
  c10::SmallVector<at::Tensor, 4> dense_biases;
  for (const auto& bias : biases) {
    dense_biases.push_back(dense(bias));
  }
  const auto width = x.size(-1);
  const auto y = new_tensor(x.sizes(), x.scalar_type());
  for_row_ranges(x.numel() / width, width, [&](size_t first, size_t last) {
    for (auto row = static_cast<int64_t>(first); row < static_cast<int64_t>(last); ++row) {
      int64_t column = 0;
      for (const auto& bias : dense_biases) {
        add_bias_values(values_from(x, row, column), const_floats(bias),
                        static_cast<size_t>(bias.size(0)), values_from(y, row, column));
        column += bias.size(0);
      }
    }
  });
  return y;
}

class AddBiases : public torch::autograd::Function<AddBiases> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, at::TensorList biases) {
    std::vector<int64_t> widths;
    for (const auto& bias : biases) {
      widths.push_back(bias.size(0));
    }
    ctx->saved_data["widths"] = widths;
    return add_biases_of(dense(x), biases);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto dy = dense(gradients[0]);  // [..., n_1 + n_2 + ...]
    const auto width = dy.size(-1);
    const auto sums = sums_over_rows(dy.numel() / width, width, width,
                                     [&](size_t first, size_t last, float* sum) {
                                       for (; first < last; ++first) {
                                         add_to_sums(values_from(dy, static_cast<int64_t>(first)),
                                                     static_cast<size_t>(width), sum);
                                       }
                                     });  // [n_1 + n_2 + ...]
    variable_list result = {gradients[0]};
    int64_t first = 0;
    for (const int64_t of_bias : ctx->saved_data["widths"].toIntVector()) {
      result.push_back(sums.narrow(0, first, of_bias));
      first += of_bias;
    }
    return result;
  }
};

}  // namespace

at::Tensor cpu::swiglu(const at::Tensor& gate_up) {
  const ProfiledOp op("loopbank::swiglu");
  return at::GradMode::is_enabled() ? Swiglu::apply(gate_up) : swiglu_of(dense(gate_up));
}

at::Tensor cpu::scaled_residual(const at::Tensor& state, const at::Tensor& branch,
                                const at::Tensor& scale) {
  const ProfiledOp op("loopbank::scaled_residual");
  if (!at::GradMode::is_enabled()) {
    return scaled_residual_of(dense(state), dense(branch), scale);
  }
  return ScaledResidual::apply(state, branch,
                               scale.defined() ? c10::make_optional(scale) : c10::nullopt);
}

at::Tensor cpu::add_biases(const at::Tensor& x, at::TensorList biases) {
  const ProfiledOp op("loopbank::add_biases");
  return at::GradMode::is_enabled() ? AddBiases::apply(x, biases) : add_biases_of(dense(x), biases);
}

}  // namespace loopbank::ops
