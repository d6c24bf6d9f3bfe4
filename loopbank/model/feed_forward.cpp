#include "loopbank/model/feed_forward.h"

#include <ATen/core/Tensor.h>

#include "loopbank/ops/feed_forward.h"

namespace loopbank {

FeedForward::FeedForward(Parameters& parameters, const std::string& name, const ModelConfig& config)
    : gate_(parameters, name + ".gate", config.hidden_size, config.intermediate_size,
            {Initial::Kind::kNormal, kInitialDeviation}),
      up_(parameters, name + ".up", config.hidden_size, config.intermediate_size,
          {Initial::Kind::kNormal, kInitialDeviation}),
      down_(parameters, name + ".down", config.intermediate_size, config.hidden_size,
            {Initial::Kind::kNormal, residual_deviation(config.num_hidden_layers)}) {}

at::Tensor FeedForward::forward(const at::Tensor& a, const RmsNorm& norm, const at::Tensor& scale,
                                Pass& pass) const {
  return ops::feed_forward(a,
                           {.norm = norm.weight(),
                            .eps = norm.eps(),
                            .gate_up = pass.linear_weights({gate_.weight(), up_.weight()}),
                            .down = pass.linear_weights({down_.weight()})},
                           scale);
}

}  // namespace loopbank
