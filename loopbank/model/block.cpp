#include "loopbank/model/block.h"

namespace loopbank {

Block::Block(Parameters& parameters, const std::string& name, const ModelConfig& config)
    : attention_norm_(parameters, name + ".attention_norm", config.hidden_size,
                      config.rms_norm_eps),
      attention_(parameters, name + ".attention", config),
      feed_forward_norm_(parameters, name + ".feed_forward_norm", config.hidden_size,
                         config.rms_norm_eps),
      feed_forward_(parameters, name + ".feed_forward", config) {}

at::Tensor Block::forward(const at::Tensor& h, const at::Tensor& scale, Pass& pass) const {
  const auto a = attention_.forward(h, attention_norm_, scale, pass);  // [B, T, D]
  return feed_forward_.forward(a, feed_forward_norm_, scale, pass);    // [B, T, D]
}

}  // namespace loopbank
