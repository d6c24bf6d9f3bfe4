#pragma once
/// Master weights as the linear ops take them, for tests.

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "loopbank/ops/linear.h"

namespace loopbank::testing {

/// Weights for one call, in the dtype that is computed in.
inline std::shared_ptr<ops::LinearWeights> prepare(const std::vector<at::Tensor>& masters,
                                                   at::ScalarType compute) {
  return std::make_shared<ops::LinearWeights>(masters, compute);
}

}  // namespace loopbank::testing
