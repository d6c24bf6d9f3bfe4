#include "loopbank/model/pass.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "loopbank/ops/check.h"
#include "loopbank/support/error.h"

namespace loopbank {

Pass::Pass(const ForwardOptions& options)
    : options_(options), state_dtype_(ops::accumulation_type(options.compute_dtype)) {
  const auto type = options.compute_dtype;
  if (type != at::kFloat && type != at::kBFloat16 && type != at::kDouble) {
    fail(ErrorCode::kDtype, "forward: expected compute in Float, BFloat16 or Double, got {}.",
         c10::toString(type));
  }
}

const at::Tensor& Pass::weight(const at::Tensor& master) {
  if (master.scalar_type() == options_.compute_dtype) {
    return master;
  }
  auto& cast = cast_weights_[master.unsafeGetTensorImpl()];
  if (!cast.defined()) {
    cast = master.to(options_.compute_dtype);
  }
  return cast;
}

const std::shared_ptr<ops::LinearWeights>& Pass::linear_weights(
    const std::vector<at::Tensor>& masters) {
  auto& prepared = linear_weights_[masters.front().unsafeGetTensorImpl()];
  if (prepared == nullptr) {
    prepared = std::make_shared<ops::LinearWeights>(masters, options_.compute_dtype);
  }
  return prepared;
}

std::shared_ptr<Pass> Pass::fork() const {
  auto options = options_;
  options.recompute = Recompute::kNone;
  auto other = std::make_shared<Pass>(options);
  other->angles = angles;
  return other;
}

bool Pass::recomputes(Recompute part) const {
  return options_.recompute == part && options_.cache == nullptr && options_.recorder == nullptr &&
         at::GradMode::is_enabled();
}

void Pass::enter(int64_t layer, int64_t loop) {
  if (layer != layer_) {
    leave();
  }
  layer_ = layer;
  loop_ = loop;
}

void Pass::leave() {
  for (const auto& [master, prepared] : linear_weights_) {
    prepared->forget_forward();  // autograd keeps the rest for the backward pass
  }
  linear_weights_.clear();
}

int64_t Pass::loops(int64_t trained_loops) const {
  return options_.max_loops > 0 ? std::min(options_.max_loops, trained_loops) : trained_loops;
}

std::pair<at::Tensor, at::Tensor> Pass::remember(const at::Tensor& keys, const at::Tensor& values) {
  return options_.cache == nullptr ? std::pair(keys, values)
                                   : options_.cache->append(layer_, loop_, keys, values);
}

void Pass::record_read(bool global, const at::Tensor& query, const OpenBank& bank,
                       const at::Tensor& gate) const {
  if (options_.recorder != nullptr && options_.recorder->on_read) {
    options_.recorder->on_read({.layer = layer_,
                                .loop = loop_,
                                .global = global,
                                .query = query,
                                .keys = bank.keys,
                                .gate = gate});
  }
}

}  // namespace loopbank
