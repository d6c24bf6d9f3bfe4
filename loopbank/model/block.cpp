#include "loopbank/model/block.h"

#include <ATen/core/Tensor.h>

#include "loopbank/model/branch.h"

namespace loopbank {

Block::Block(Parameters& parameters, const std::string& name, const ModelConfig& config)
    : attention_norm_(parameters, name + ".attention_norm", config.hidden_size,
                      config.rms_norm_eps),
      attention_(parameters, name + ".attention", config),
      feed_forward_norm_(parameters, name + ".feed_forward_norm", config.hidden_size,
                         config.rms_norm_eps),
      feed_forward_(parameters, name + ".feed_forward", config) {}

at::Tensor Block::operator()(const at::Tensor& h, const at::Tensor& s, const Place& place) const {
  const auto a = h + s * attention_(rms_norm(h, attention_norm_), place);  // [B, T, D]
  return a + s * feed_forward_(rms_norm(a, feed_forward_norm_), place);    // [B, T, D]
}

KeysValues Block::keys_values(const at::Tensor& h, const Place& place) const {
  return attention_.keys_values(rms_norm(h, attention_norm_), place);
}

}  // namespace loopbank
