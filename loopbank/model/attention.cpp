#include "loopbank/model/attention.h"

#include <ATen/core/Tensor.h>

#include "loopbank/ops/elementwise.h"
#include "loopbank/ops/norm_linear.h"
#include "loopbank/ops/rotated_heads.h"
#include "loopbank/ops/self_attention.h"

namespace loopbank {

Attention::Attention(Parameters& parameters, const std::string& name, const ModelConfig& config)
    : heads_{.query = config.num_attention_heads, .key = config.num_key_value_heads},
      query_(parameters, name + ".query", config.hidden_size, config.hidden_size,
             {Initial::Kind::kNormal, kInitialDeviation}),
      key_(parameters, name + ".key", config.hidden_size,
           config.num_key_value_heads * config.head_size(),
           {Initial::Kind::kNormal, kInitialDeviation}),
      value_(parameters, name + ".value", config.hidden_size,
             config.num_key_value_heads * config.head_size(),
             {Initial::Kind::kNormal, kInitialDeviation}),
      output_(parameters, name + ".output", config.hidden_size, config.hidden_size,
              {Initial::Kind::kNormal, residual_deviation(config.num_hidden_layers)}),
      query_norm_(parameters, name + ".query_norm", config.head_size(), config.rms_norm_eps),
      key_norm_(parameters, name + ".key_norm", config.head_size(), config.rms_norm_eps) {}

Branch Attention::operator()(const at::Tensor& x, const Place& place) const {
  const auto qkv = side_by_side({query_, key_, value_}, x, place);  // [B, T, (H + 2 H_kv) d]
  return Branch(output_(attend(qkv, place), place));                // [B, T, D]
}

Branch Attention::operator()(const Normed& x, const Place& place) const {
  const auto& weights = place.weights.prepared({query_.weight(), key_.weight(), value_.weight()});
  const auto [qkv, h] =
      ops::norm_linear(x.of, x.weight, x.eps, weights);  // h is x.of; its gradient joins qkv's
  const auto g = output_(attend(qkv, place), place);     // [B, T, D]
  return {[g] { return g; }, x.of,
          [g, h = h](const at::Tensor& s) { return ops::scaled_residual(h, g, s); }};
}

at::Tensor Attention::attend(const at::Tensor& qkv, const Place& place) const {
  const auto& pass = place.pass;
  if (pass.context() != nullptr) {
    const auto [q, k, v] = ops::rotated_heads(qkv[0], heads_, place.angles(), norm());
    return pass.context()->attend(place.rows(), q, {k, v}).unsqueeze(0);
  }
  return ops::self_attention(qkv, heads_, pass.angles, norm());
}

KeysValues Attention::keys_values(const Normed& x, const Place& place) const {
  const auto kv = side_by_side({key_, value_}, x.in(place.pass.compute_dtype()), place);
  const auto heads = ops::rotated_heads(kv[0], {.query = 0, .key = heads_.key}, place.angles(),
                                        norm());
  return {heads.key, heads.value};
}

ops::HeadNorm Attention::norm() const {
  return {.query_weight = query_norm_.weight(),
          .key_weight = key_norm_.weight(),
          .eps = query_norm_.eps()};
}

}  // namespace loopbank
