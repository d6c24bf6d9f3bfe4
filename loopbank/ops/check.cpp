#include "loopbank/ops/check.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "loopbank/support/error.h"

namespace loopbank::ops {

std::string format_shape(at::IntArrayRef shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

void expect_shape(std::string_view op, std::string_view name, const at::Tensor& tensor,
                  at::IntArrayRef expected) {
  if (tensor.sizes() != expected) {
    fail(ErrorCode::kShape, "{}: expected {} of shape {}, got {}.", op, name,
         format_shape(expected), format_shape(tensor.sizes()));
  }
}

}  // namespace loopbank::ops
