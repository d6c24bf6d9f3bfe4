#include "loopbank/model/halting.h"

#include <ATen/core/Tensor.h>

#include "loopbank/model/linear.h"
#include "loopbank/ops/halting.h"

namespace loopbank {

Halting::Halting(Parameters& parameters, const std::string& layer_name, int64_t hidden_size,
                 int64_t num_loops, double bias_init)
    : num_loops_(num_loops),
      w_(parameters.add(layer_name + ".router.weight", {1, hidden_size + 1}, ParameterKind::kRouter,
                        {Initial::Kind::kNormal, kInitialDeviation})),
      b_(parameters.add(layer_name + ".router.bias", {1}, ParameterKind::kRouterBias,
                        {Initial::Kind::kConstant, bias_init})) {}

at::Tensor Halting::logit(const at::Tensor& h, int64_t t) const {
  const double step = num_loops_ > 1 ? static_cast<double>(t - 1) / (num_loops_ - 1) : 0.0;
  return ops::router_logits(h, w_, b_, step);  // w . [h ; step] + b [B, T]
}

at::Tensor Halting::distribution(const std::vector<at::Tensor>& logits) const {
  return ops::halting_distribution(logits);  // [N, B, T]
}

}  // namespace loopbank
