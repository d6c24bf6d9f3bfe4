#include "loopbank/model/attention.h"

#include <ATen/core/Tensor.h>

#include "loopbank/ops/norm_linear.h"
#include "loopbank/ops/rotated_heads.h"
#include "loopbank/ops/self_attention.h"
#include "loopbank/ops/workspace.h"

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
  const auto [qkv, h] = ops::norm_linear(x.of, x.weight, x.eps, weights);
  return {output_(attend(qkv, place), place), x.of, /*again=*/h};  // [B, T, D]
}

at::Tensor Attention::attend(const at::Tensor& qkv, const Place& place) const {
  const auto& pass = place.pass;
  if (pass.context() != nullptr) {
    const auto rows = ops::reshaped(qkv, {qkv.size(1), qkv.size(2)});
    const auto [q, k, v] = ops::rotated_heads(rows, heads_, place.angles(), norm());
    const auto o = pass.context()->attend(place.rows(), q, {k, v});  // [R, D]
    return ops::reshaped(o, {1, o.size(0), o.size(1)});
  }
  return ops::self_attention(qkv, heads_, pass.angles, norm());
}

KeysValues Attention::keys_values(const Normed& x, const Place& place) const {
  const auto kv = side_by_side({key_, value_}, x.in(place.pass.compute_dtype()), place);
  const auto rows = ops::reshaped(kv, {kv.size(1), kv.size(2)});
  const auto heads =
      ops::rotated_heads(rows, {.query = 0, .key = heads_.key}, place.angles(), norm());
  return {heads.key, heads.value};
}

ops::HeadNorm Attention::norm() const {
  return {.query_weight = query_norm_.weight(),
          .key_weight = key_norm_.weight(),
          .eps = query_norm_.eps()};
}

}  // namespace loopbank
