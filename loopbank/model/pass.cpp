#include "loopbank/model/pass.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

#include "loopbank/ops/check.h"
#include "loopbank/support/error.h"

namespace loopbank {

at::Tensor OpenBank::read(const at::Tensor& q) const {
  return prepared != nullptr ? prepared->read(q) : ops::memory_read(q, keys, values);
}

Pass::Pass(const ForwardOptions& options)
    : options_(options), state_dtype_(ops::accumulation_type(options.compute_dtype)) {
  const auto type = options.compute_dtype;
  if (type != at::kFloat && type != at::kBFloat16 && type != at::kDouble) {
    fail(ErrorCode::kDtype, "forward: expected compute in Float, BFloat16 or Double, got {}.",
         c10::toString(type));
  }
}

int64_t Pass::loops(int64_t trained_loops) const {
  return options_.max_loops > 0 ? std::min(options_.max_loops, trained_loops) : trained_loops;
}

bool Pass::recomputes(Recompute part) const {
  return options_.recompute == part && options_.context == nullptr &&
         options_.recorder == nullptr && at::GradMode::is_enabled();
}

Pass Pass::keeping_all(OpenBank other_bank) const {
  auto other = *this;
  other.options_.recompute = Recompute::kNone;
  other.global_bank = std::move(other_bank);
  return other;
}

}  // namespace loopbank
