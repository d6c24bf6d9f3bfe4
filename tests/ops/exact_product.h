#pragma once
/// Matrix products in exact arithmetic, for the tests of the ones that are not.

#include <ATen/core/Tensor.h>
#include <ATen/ops/mm.h>

#include <cstdint>

namespace loopbank::testing {

/// [M, K] times [K, N].
struct ProductSizes {
  int64_t M, K, N;
};

/// The product [M, N] in fp64.
inline at::Tensor exact_product(const at::Tensor& a, const at::Tensor& b) {
  return at::mm(a.to(at::kDouble), b.to(at::kDouble));
}

}  // namespace loopbank::testing
