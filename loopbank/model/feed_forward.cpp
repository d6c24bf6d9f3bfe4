#include "loopbank/model/feed_forward.h"

#include <ATen/ATen.h>

#include "loopbank/ops/elementwise.h"

namespace loopbank {

FeedForward::FeedForward(Parameters& parameters, const std::string& name, const ModelConfig& config)
    : gate_(parameters, name + ".gate", config.hidden_size, config.intermediate_size,
            {Initial::Kind::kNormal, kInitialDeviation}),
      up_(parameters, name + ".up", config.hidden_size, config.intermediate_size,
          {Initial::Kind::kNormal, kInitialDeviation}),
      down_(parameters, name + ".down", config.intermediate_size, config.hidden_size,
            {Initial::Kind::kNormal, residual_deviation(config.num_hidden_layers)}) {}

at::Tensor FeedForward::forward(const at::Tensor& x, Pass& pass) const {
  const auto gate_up = forward_side_by_side({gate_, up_}, x, pass);  // [B, T, 2 F]
  const auto inner = ops::swiglu(gate_up);                           // [B, T, F]
  return down_.forward(inner, pass);                                 // [B, T, D]
}

}  // namespace loopbank
