#include "loopbank/ops/rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <string_view>

#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

void expect_listed_rows(std::string_view op, std::span<const int64_t> list, int64_t rows) {
  const auto bad =
      std::find_if(list.begin(), list.end(), [=](int64_t row) { return row < 0 || row >= rows; });
  if (bad != list.end()) {
    fail(ErrorCode::kData, "{}: expected rows from 0 to {}, got {} at place {}.", op, rows - 1,
         *bad, bad - list.begin());
  }
}

at::Tensor index_of(std::span<const int64_t> list, at::Device device) {
  auto index = at::empty({static_cast<int64_t>(list.size())}, at::kLong);
  std::copy(list.begin(), list.end(), index.data_ptr<int64_t>());
  return index.to(device);
}

/// [r, D] fp32.
void expect_states(std::string_view op, std::string_view name, const at::Tensor& x,
                   at::IntArrayRef shape) {
  expect_shape(op, name, x, shape);
  expect_dtype(op, name, x, at::kFloat);
}

at::Tensor norm_of_rows(const at::Tensor& x) {
  return x.square().sum(-1).sqrt();  // [r]
}

}  // namespace

at::Tensor gather_rows(const at::Tensor& h, std::span<const int64_t> list) {
  expect_dimensions("gather_rows", "h", h, 2);
  expect_listed_rows("gather_rows", list, h.size(0));
  if (takes_fused(h) && !list.empty()) {
    return cpu::gather_rows(h, list);
  }
  return at::index_select(h, 0, index_of(list, h.device()));
}

void weighted_add_rows(const at::Tensor& y, std::span<const int64_t> rows,
                       std::span<const float> weights, const at::Tensor& h) {
  constexpr std::string_view kOp = "weighted_add_rows";
  const auto count = static_cast<int64_t>(rows.size());
  expect_dimensions(kOp, "y", y, 2);
  expect_dtype(kOp, "y", y, at::kFloat);
  expect_states(kOp, "h", h, {count, y.size(1)});
  if (weights.size() != rows.size()) {
    fail(ErrorCode::kShape, "{}: expected a weight for each of {} rows, got {}.", kOp, rows.size(),
         weights.size());
  }
  if (!y.is_contiguous()) {
    fail(ErrorCode::kShape, "{}: expected y without gaps between its values, got strides {}.", kOp,
         format_shape(y.strides()));
  }
  expect_listed_rows(kOp, rows, y.size(0));
  if (rows.empty()) {
    return;
  }
  if (takes_fused(y) && takes_fused(h)) {
    cpu::weighted_add_rows(y, rows, weights, h);
    return;
  }
  const at::NoGradGuard no_grad;
  auto by_row = at::empty({count, 1}, at::kFloat);
  std::copy(weights.begin(), weights.end(), by_row.data_ptr<float>());
  y.index_add_(0, index_of(rows, y.device()), h * by_row.to(h.device()));
}

at::Tensor relative_change(const at::Tensor& h, const at::Tensor& before) {
  expect_dimensions("relative_change", "h", h, 2);
  expect_states("relative_change", "h", h, h.sizes());
  expect_states("relative_change", "before", before, h.sizes());
  if (takes_fused(h) && takes_fused(before)) {
    return cpu::relative_change(h, before);
  }
  return norm_of_rows(h - before) / norm_of_rows(before);
}

at::Tensor relative_acceleration(const at::Tensor& h, const at::Tensor& before,
                                 const at::Tensor& earlier) {
  expect_dimensions("relative_acceleration", "h", h, 2);
  expect_states("relative_acceleration", "h", h, h.sizes());
  expect_states("relative_acceleration", "before", before, h.sizes());
  expect_states("relative_acceleration", "earlier", earlier, h.sizes());
  if (takes_fused(h) && takes_fused(before) && takes_fused(earlier)) {
    return cpu::relative_acceleration(h, before, earlier);
  }
  const auto change = h - before;
  return norm_of_rows(change - (before - earlier)) / norm_of_rows(change);
}

}  // namespace loopbank::ops
