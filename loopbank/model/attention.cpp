#include "loopbank/model/attention.h"

#include <ATen/core/Tensor.h>

#include "loopbank/ops/norm_linear.h"
#include "loopbank/ops/rotated_heads.h"
#include "loopbank/ops/self_attention.h"
#include "loopbank/ops/workspace.h"

namespace loopbank {

namespace {

ops::NormPlace place_of(const std::string& qk_norm) {
  return qk_norm == "none"     ? ops::NormPlace::kNone
         : qk_norm == "before" ? ops::NormPlace::kBefore
                               : ops::NormPlace::kAfter;
}

/// The projection of D to `heads` heads.
Linear to_heads(Parameters& parameters, const std::string& name, const ModelConfig& config,
                int64_t heads) {
  return Linear(parameters, name, config.hidden_size, heads * config.head_size(),
                {Initial::Kind::kNormal, kInitialDeviation})
      .with_bias(parameters, name, config.attention_bias);
}

/// And of the merged heads back to D.
Linear from_heads(Parameters& parameters, const std::string& name, const ModelConfig& config) {
  return Linear(parameters, name, config.num_attention_heads * config.head_size(),
                config.hidden_size,
                {Initial::Kind::kNormal, residual_deviation(config.num_hidden_layers)})
      .with_bias(parameters, name, config.attention_output_bias);
}

}  // namespace

Attention::Attention(Parameters& parameters, const std::string& name, const ModelConfig& config)
    : heads_{.query = config.num_attention_heads, .key = config.num_key_value_heads},
      query_(to_heads(parameters, name + ".query", config, heads_.query)),
      key_(to_heads(parameters, name + ".key", config, heads_.key)),
      value_(to_heads(parameters, name + ".value", config, heads_.key)),
      output_(from_heads(parameters, name + ".output", config)),
      norm_place_(place_of(config.qk_norm)) {
  if (norm_place_ != ops::NormPlace::kNone) {
    query_norm_.emplace(parameters, name + ".query_norm", config.head_size(), config.rms_norm_eps);
    key_norm_.emplace(parameters, name + ".key_norm", config.head_size(), config.rms_norm_eps);
  }
}

Branch Attention::operator()(const at::Tensor& x, const Place& place) const {
  const auto qkv = side_by_side({query_, key_, value_}, x, place);  // [B, T, (H + 2 H_kv) d]
  return Branch(output_(attend(qkv, place), place));                // [B, T, D]
}

Branch Attention::operator()(const Normed& x, const Place& place) const {
  const auto& weights = place.weights.prepared({query_.weight(), key_.weight(), value_.weight()});
  const auto [products, h] = ops::norm_linear(x.of, x.weight, x.eps, weights);
  const auto qkv = with_biases(products, {query_, key_, value_});  // [B, T, (H + 2 H_kv) d]
  return {output_(attend(qkv, place), place), x.of, /*again=*/h};  // [B, T, D]
}

at::Tensor Attention::attend(const at::Tensor& qkv, const Place& place) const {
  const auto& pass = place.pass;
  if (pass.context() != nullptr) {
    const auto rows = ops::reshaped(qkv, {qkv.size(1), qkv.size(2)});
    const auto [q, k, v] = ops::rotated_heads(rows, heads_, place.angles(), norm());
    const auto o = pass.context()->attend(place.rows(), q, {k, v});  // [R, H d]
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
  if (norm_place_ == ops::NormPlace::kNone) {
    return {.query_weight = {}, .key_weight = {}, .place = norm_place_};
  }
  return {.query_weight = query_norm_->weight(),
          .key_weight = key_norm_->weight(),
          .eps = query_norm_->eps(),
          .place = norm_place_};
}

}  // namespace loopbank
