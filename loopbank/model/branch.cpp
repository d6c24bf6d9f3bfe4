#include "loopbank/model/branch.h"

#include <ATen/core/Tensor.h>

#include "loopbank/ops/elementwise.h"

namespace loopbank {

Branch::Branch(at::Tensor g) : g_(std::move(g)) {}

Branch::Branch(at::Tensor g, at::Tensor of, at::Tensor again)
    : g_(std::move(g)), of_(std::move(of)), again_(std::move(again)) {}

at::Tensor Branch::added_to(const at::Tensor& h, const at::Tensor& s) const {
  return ops::scaled_residual(h.is_same(of_) ? again_ : h, g_, s);  // [B, T, D]
}

}  // namespace loopbank
