#include "loopbank/model/feed_forward.h"

#include <ATen/core/Tensor.h>

#include "loopbank/ops/elementwise.h"
#include "loopbank/ops/feed_forward.h"

namespace loopbank {

FeedForward::FeedForward(Parameters& parameters, const std::string& name, const ModelConfig& config)
    : gate_(parameters, name + ".gate", config.hidden_size, config.intermediate_size,
            {Initial::Kind::kNormal, kInitialDeviation}),
      up_(parameters, name + ".up", config.hidden_size, config.intermediate_size,
          {Initial::Kind::kNormal, kInitialDeviation}),
      down_(parameters, name + ".down", config.intermediate_size, config.hidden_size,
            {Initial::Kind::kNormal, residual_deviation(config.num_hidden_layers)}) {}

Branch FeedForward::operator()(const at::Tensor& x, const Place& place) const {
  const auto gate_up = side_by_side({gate_, up_}, x, place);  // [B, T, 2F]
  return Branch(down_(ops::swiglu(gate_up), place));          // [B, T, D]
}

at::Tensor FeedForward::OfNorm::value() const {
  return f(x.in(place.pass.compute_dtype()), place).value();  // [B, T, D]
}

at::Tensor FeedForward::OfNorm::added_to(const at::Tensor& h, const at::Tensor& s) const {
  if (!h.is_same(x.of)) {
    return h + s * f(x.in(place.pass.compute_dtype()), place);
  }
  return ops::feed_forward(h,
                           {.norm = x.weight,
                            .eps = x.eps,
                            .gate_up = place.weights.prepared({f.gate_.weight(), f.up_.weight()}),
                            .down = place.weights.prepared({f.down_.weight()})},
                           s);
}

}  // namespace loopbank
