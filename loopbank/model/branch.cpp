#include "loopbank/model/branch.h"

#include <ATen/core/Tensor.h>

#include <utility>

#include "loopbank/ops/elementwise.h"

namespace loopbank {

Branch::Branch(at::Tensor g) : g_([g = std::move(g)] { return g; }) {}

Branch::Branch(Definition g, at::Tensor h, FusedSum sum)
    : g_(std::move(g)), h_(std::move(h)), sum_(std::move(sum)) {}

at::Tensor Branch::added_to(const at::Tensor& h, const at::Tensor& s) const {
  if (sum_ && h.is_same(h_)) {
    return sum_(s);  // [B, T, D]
  }
  return ops::scaled_residual(h, value(), s);  // [B, T, D]
}

ScaledBranch operator*(const at::Tensor& s, Branch g) {
  return {s, std::move(g)};
}

at::Tensor operator+(const at::Tensor& h, const ScaledBranch& branch) {
  return branch.g.added_to(h, branch.s);
}

at::Tensor operator+(const at::Tensor& h, const Branch& g) {
  return g.added_to(h, /*s=*/{});
}

}  // namespace loopbank
