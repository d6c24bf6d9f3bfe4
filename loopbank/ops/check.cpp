#include "loopbank/ops/check.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

std::string shape_of(const at::Tensor& tensor) {
  return tensor.defined() ? format_shape(tensor.sizes()) : "none";
}

/// Of the i-th element: `7` in a list, `[1, 3]` in a table.
std::string place_of(int64_t i, at::IntArrayRef sizes) {
  std::vector<int64_t> place(sizes.size());
  for (size_t k = sizes.size(); k-- > 0; i /= sizes[k]) {
    place[k] = i % sizes[k];
  }
  return place.size() == 1 ? fmt::format("{}", place[0]) : format_shape(place);
}

}  // namespace

std::string format_shape(at::IntArrayRef shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

void expect_shape(std::string_view op, std::string_view name, const at::Tensor& tensor,
                  at::IntArrayRef expected) {
  if (!tensor.defined() || tensor.sizes() != expected) {
    fail(ErrorCode::kShape, "{}: expected {} of shape {}, got {}.", op, name,
         format_shape(expected), shape_of(tensor));
  }
}

void expect_dimensions(std::string_view op, std::string_view name, const at::Tensor& tensor,
                       int64_t count) {
  if (!tensor.defined() || tensor.dim() != count) {
    fail(ErrorCode::kShape, "{}: expected {} of {} dimensions, got {}.", op, name, count,
         shape_of(tensor));
  }
}

void expect_rows(std::string_view op, std::string_view name, const at::Tensor& tensor,
                 int64_t fewest_dimensions) {
  if (!tensor.defined() || tensor.dim() < fewest_dimensions) {
    fail(ErrorCode::kShape, "{}: expected {} of at least {} dimension{}, got {}.", op, name,
         fewest_dimensions, fewest_dimensions == 1 ? "" : "s", shape_of(tensor));
  }
  if (!tensor.is_floating_point()) {
    fail(ErrorCode::kDtype, "{}: expected {} of a floating-point dtype, got {}.", op, name,
         c10::toString(tensor.scalar_type()));
  }
}

void expect_dtype(std::string_view op, std::string_view name, const at::Tensor& tensor,
                  at::ScalarType expected) {
  if (tensor.scalar_type() != expected) {
    fail(ErrorCode::kDtype, "{}: expected {} of dtype {}, got {}.", op, name,
         c10::toString(expected), c10::toString(tensor.scalar_type()));
  }
}

void expect_ids(std::string_view op, std::string_view name, const at::Tensor& ids, int64_t count,
                std::optional<int64_t> ignored) {
  expect_dtype(op, name, ids, at::kLong);
  if (!ids.is_cpu()) {
    return;
  }
  const auto dense = ids.contiguous();
  const auto* const all = dense.data_ptr<int64_t>();
  for (int64_t i = 0; i < dense.numel(); ++i) {
    if ((all[i] < 0 || all[i] >= count) && all[i] != ignored) {
      fail(ErrorCode::kData, "{}: expected {} in [0, {}){}, got {} at {}.", op, name, count,
           ignored ? fmt::format(" or {}", *ignored) : std::string(), all[i],
           place_of(i, ids.sizes()));
    }
  }
}

}  // namespace loopbank::ops
