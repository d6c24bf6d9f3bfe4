/// norm_linear, feed_forward and reads of memory banks with weights prepared for inference
/// (inference_weights.h): some rows at a time through all steps, in memory of the calling thread.
/// Each step treats a row by itself, so the rows at a time decide nothing but the speed.

#include <ATen/core/Tensor.h>
#include <c10/util/DimVector.h>

#include <algorithm>
#include <cmath>

#include "loopbank/ops/cpu/elementwise_rows.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/cpu/row_blocks.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/memory_read.h"
#include "loopbank/ops/simd/elementwise_kernels.h"
#include "loopbank/ops/simd/norm_kernels.h"
#include "loopbank/ops/simd/row_softmax_kernels.h"
#include "loopbank/ops/workspace.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

/// Rows at a time: what a step leaves for the next stays in the last-level cache.
constexpr int64_t kBranchRows = 512;
/// Scores of a bank at a time, in fp32.
constexpr int64_t kScoresAtATime = int64_t{1} << 19U;
/// An exponential takes as long as this many values of a plain sum.
constexpr int64_t kWorkOfExponential = 3;

/// visit(first row, rows) for at most `at_a_time` of all rows.
template <typename Visit>
void for_some_rows(int64_t rows, int64_t at_a_time, const Visit& visit) {
  for (int64_t first = 0; first < rows; first += at_a_time) {
    visit(first, std::min(at_a_time, rows - first));
  }
}

/// x = rms_norm(a) of the rows from `first` on.
void norm_rows_of(const at::Tensor& a, int64_t first, const at::Tensor& weight, double eps,
                  float* inverse, const Matrix& x) {
  const NormForward norm{.x = values_from(a, first),
                         .weight = const_floats(weight),
                         .y = values_of(x),
                         .inverse = inverse,
                         .width = static_cast<size_t>(x.columns),
                         .eps = static_cast<float>(eps)};
  for_row_ranges(x.rows, x.columns, [&](size_t from, size_t to) { rms_norm_rows(norm, from, to); });
}

void swiglu_of(const Matrix& both, const Matrix& inner) {
  const auto F = static_cast<size_t>(inner.columns);
  const SwigluForward swiglu{.gate = values_of(both),
                             .up = values_of(both, inner.columns),
                             .stride = 2 * F,
                             .y = values_of(inner),
                             .y_stride = F,
                             .width = F};
  for_row_ranges(inner.rows, kWorkOfExponential * inner.columns,
                 [&](size_t from, size_t to) { swiglu_rows(swiglu, from, to); });
}

}  // namespace

at::Tensor cpu::norm_linear_of_inference(const at::Tensor& a, const at::Tensor& norm, double eps,
                                         LinearWeights& weights) {
  const ProfiledOp op("loopbank::norm_linear");
  const auto dense_a = dense(a);         // [..., D]
  const auto norm_weight = dense(norm);  // [D]
  c10::DimVector shape(a.sizes());
  shape.back() = weights.out();
  auto y = new_tensor(shape, weights.compute_dtype());
  for_some_rows(a.numel() / weights.in(), kBranchRows, [&](int64_t first, int64_t rows) {
    const auto inverse = thread_matrices(at::kFloat, 1, {rows}, /*slot=*/1).front();
    const auto x = thread_matrices(y.scalar_type(), rows, {weights.in()}).front();
    norm_rows_of(dense_a, first, norm_weight, eps, static_cast<float*>(inverse.data), x);
    weights.multiply(x, as_matrix(y).row_range(first, rows));
  });
  return y;
}

at::Tensor cpu::feed_forward_of_inference(const at::Tensor& a, const FeedForwardWeights& weights,
                                          const at::Tensor& scale) {
  const ProfiledOp op("loopbank::feed_forward");
  const auto dense_a = dense(a);                 // [..., D]
  const auto norm_weight = dense(weights.norm);  // [D]
  const auto D = weights.down->out();
  const auto F = weights.down->in();
  const auto dtype = weights.gate_up->compute_dtype();
  const float s = scale.defined() ? *scale.data_ptr<float>() : 1.0F;
  auto y = new_tensor(a.sizes(), at::kFloat);
  for_some_rows(a.numel() / D, kBranchRows, [&](int64_t first, int64_t rows) {
    const auto inverse = thread_matrices(at::kFloat, 1, {rows}, /*slot=*/1).front();
    const auto room = thread_matrices(dtype, rows, {D, 2 * F, F});
    const auto &x = room[0], &both = room[1], &inner = room[2];
    norm_rows_of(dense_a, first, norm_weight, weights.eps, static_cast<float*>(inverse.data), x);
    weights.gate_up->multiply(x, both);
    swiglu_of(both, inner);
    weights.down->multiply(inner, x);
    const ResidualForward residual{.state = const_floats(dense_a) + first * D,
                                   .branch = values_of(x),
                                   .y = floats(y) + first * D,
                                   .scale = s};
    for_row_ranges(rows, D, [&](size_t from, size_t to) {
      const auto width = static_cast<size_t>(D);
      scaled_residual_values(residual, from * width, to * width);
    });
  });
  return y;
}

PreparedBank::PreparedBank(const at::Tensor& keys, const at::Tensor& values, WeightFormat format)
    : keys_({keys}, format), values_({values.t()}, format) {
  expect_shape("memory bank", "values", values, keys.sizes());
}

at::Tensor PreparedBank::read(const at::Tensor& query) const {
  const ProfiledOp op("loopbank::memory_read");
  expect_no_graph("memory bank", query);
  if (!query.defined() || query.dim() < 1 || query.size(-1) != keys_.in()) {
    fail(ErrorCode::kShape, "memory bank: expected query [..., {}], got {}.", keys_.in(),
         query.defined() ? format_shape(query.sizes()) : "none");
  }
  const auto rows_of_query = dense(query);
  auto result = new_tensor(query.sizes(), query.scalar_type());  // [..., D]
  const auto q = as_matrix(rows_of_query);
  const auto slots = keys_.out();
  const auto at_a_time = std::max<int64_t>(1, kScoresAtATime / slots);
  for_some_rows(q.rows, at_a_time, [&](int64_t first, int64_t rows) {
    const auto scores = thread_matrices(at::kFloat, rows, {slots}, /*slot=*/1).front();
    const auto weights = thread_matrices(q.dtype, rows, {slots}).front();
    keys_.multiply(q.row_range(first, rows), scores);
    const ReadScores read{
        .scores = static_cast<float*>(scores.data),
        .weights = values_of(weights),
        .slots = static_cast<size_t>(slots),
        .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(keys_.in())))};
    for_row_ranges(rows, kWorkOfExponential * slots,
                   [&](size_t from, size_t to) { read_weights(read, from, to); });
    values_.multiply(weights, as_matrix(result).row_range(first, rows));
  });
  return result;
}

}  // namespace loopbank::ops
