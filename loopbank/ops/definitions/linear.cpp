#include "loopbank/ops/linear.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <c10/util/DimVector.h>

#include <algorithm>

#include "loopbank/ops/cast.h"
#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/gemm/matrix_product.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/workspace.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

// Below this many rows laying out a weight takes longer than it saves: generation, a token at a
// time.
constexpr int64_t kFewestRowsToPack = 128;

/// [..., in] to [..., out] in the dtype of x.
at::Tensor product_of_prepared(const at::Tensor& x, LinearWeights& weights) {
  if (!x.is_cpu()) {
    return weights.prepared()->multiply(x);  // which says what it wants
  }
  const auto rows = dense(x);
  c10::DimVector shape(x.sizes());
  shape.back() = weights.out();
  auto y = new_tensor(shape, x.scalar_type());  // [..., out]
  weights.multiply(as_matrix(rows), as_matrix(y));
  return y;
}

}  // namespace

LinearWeights::LinearWeights(std::vector<at::Tensor> masters, at::ScalarType compute)
    : masters_(std::move(masters)), compute_(compute) {
  if (masters_.empty()) {
    fail(ErrorCode::kShape, "linear: expected at least one weight, got none.");
  }
  for (const auto& master : masters_) {
    expect_rows("linear", "weight", master);
    expect_dimensions("linear", "weight", master, 2);
    in_ = masters_.front().size(1);
    expect_shape("linear", "weight", master, {master.size(0), in_});
    outs_.push_back(master.size(0));
    out_ += master.size(0);
  }
}

LinearWeights::LinearWeights(std::shared_ptr<const InferenceWeights> prepared,
                             at::ScalarType compute)
    : prepared_(std::move(prepared)),
      compute_(compute),
      in_(prepared_->in()),
      outs_(prepared_->outs()),
      out_(prepared_->out()) {}

void LinearWeights::expect_masters() const {
  if (prepared_ != nullptr) {
    fail(ErrorCode::kConfig,
         "linear: expected weights [{}, {}] of a pass with gradients, got weights prepared for "
         "inference.",
         out_, in_);
  }
}

const at::Tensor& LinearWeights::joined() {
  expect_masters();
  if (!joined_.defined()) {
    joined_ = (masters_.size() == 1 ? masters_.front() : at::cat(masters_)).to(compute_);
  }
  return joined_;
}

at::Tensor LinearWeights::joined_copy() const {
  expect_masters();
  if (masters_.size() == 1 && masters_.front().scalar_type() == compute_) {
    return masters_.front().detach();
  }
  auto copy = at::empty({out_, in()}, masters_.front().options().dtype(compute_));
  int64_t row = 0;
  for (const auto& master : masters_) {
    copy_into(copy.narrow(0, row, master.size(0)), master.detach());
    row += master.size(0);
  }
  return copy;
}

void LinearWeights::multiply(const Matrix& x, const Matrix& y) {
  if (prepared_ != nullptr) {
    prepared_->multiply(x, y, ahead_);
    return;
  }
  if (x.rows >= kFewestRowsToPack) {
    gemm(x, forward_parts(out_, x.rows).front(), y);
    return;
  }
  const at::NoGradGuard no_grad;
  int64_t column = 0;
  for (const auto& master : masters_) {
    const auto weight = master.detach().to(compute_);
    gemm(x, as_matrix(weight).transposed(), y.column_range(column, master.size(0)));
    column += master.size(0);
  }
}

void LinearWeights::multiply_back(const Matrix& dy, const Matrix& dx) {
  if (dy.rows < kFewestRowsToPack) {
    gemm(dy, as_matrix(joined_copy()), dx);
    return;
  }
  gemm(dy, backward_parts(in(), dy.rows).front(), dx);
}

const std::vector<PackedMatrix>& LinearWeights::forward_parts(int64_t width, int64_t rows) {
  expect_masters();
  if (forward_parts_.width == width) {
    return forward_parts_.matrices;
  }
  forward_parts_ = {.width = width, .matrices = {}};
  int64_t widest = 0;
  for (const auto& master : masters_) {
    widest = std::max(widest, master.size(0));
  }
  for (int64_t first = 0; first < widest; first += width) {
    std::vector<at::Tensor> parts;
    for (const auto& master : masters_) {
      if (const auto left = master.size(0) - first; left > 0) {
        parts.push_back(master.detach().narrow(0, first, std::min(width, left)));
      }
    }
    const auto part = LinearWeights(parts, compute_).joined_copy();
    forward_parts_.matrices.emplace_back(as_matrix(part).transposed(), rows);
  }
  return forward_parts_.matrices;
}

const std::vector<PackedMatrix>& LinearWeights::backward_parts(int64_t width, int64_t rows) {
  expect_masters();
  auto& prepared = *backward_parts_;
  if (prepared.width == width) {
    return prepared.matrices;
  }
  prepared = {.width = width, .matrices = {}};
  const auto copy = joined_copy();
  for (int64_t first = 0; first < in(); first += width) {
    const auto part = as_matrix(copy).column_range(first, std::min(width, in() - first));
    prepared.matrices.emplace_back(part, rows);
  }
  return prepared.matrices;
}

std::shared_ptr<WeightGradient> LinearWeights::gradient() {
  const bool is_needed = at::GradMode::is_enabled() && std::any_of(masters_.begin(), masters_.end(),
                                                                   [](const at::Tensor& master) {
                                                                     return master.requires_grad();
                                                                   });
  if (!is_needed) {
    return nullptr;
  }
  if (gradient_ == nullptr) {
    gradient_ = std::make_shared<WeightGradient>(
        masters_, [prepared = backward_parts_] { *prepared = Parts(); });
  }
  gradient_->expect_use();
  return gradient_;
}

void LinearWeights::forget_forward() {
  forward_parts_ = {};
}

void expect_no_graph(std::string_view op, const at::Tensor& x) {
  if (at::GradMode::is_enabled() && x.requires_grad()) {
    fail(ErrorCode::kConfig,
         "{}: expected no gradient through weights prepared for inference, got an input that needs "
         "one. Compute it under at::NoGradGuard.",
         op);
  }
}

at::Tensor linear(const at::Tensor& x, const std::shared_ptr<LinearWeights>& weights) {
  expect_rows("linear", "x", x);
  expect_dtype("linear", "x", x, weights->compute_dtype());
  if (x.size(-1) != weights->in()) {
    fail(ErrorCode::kShape, "linear: expected x [..., {}] for weights {}, got {}.", weights->in(),
         format_shape({weights->out(), weights->in()}), format_shape(x.sizes()));
  }
  if (weights->prepared() != nullptr) {
    expect_no_graph("linear", x);
    return product_of_prepared(x, *weights);
  }
  if (takes_fused(x)) {
    return cpu::linear(x, weights);
  }
  return matrix_product(x, weights->joined().t());  // [..., out]
}

}  // namespace loopbank::ops
