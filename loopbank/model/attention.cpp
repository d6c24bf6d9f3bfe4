#include "loopbank/model/attention.h"

#include <ATen/core/Tensor.h>

#include "loopbank/ops/attention.h"
#include "loopbank/ops/elementwise.h"
#include "loopbank/ops/norm_linear.h"
#include "loopbank/ops/rotary.h"
#include "loopbank/ops/self_attention.h"

namespace loopbank {
namespace {

/// [B, T, n d] to [B, n, T, d].
at::Tensor split_heads(const at::Tensor& x, int64_t num_heads) {
  return x.reshape({x.size(0), x.size(1), num_heads, -1}).transpose(1, 2);
}

/// [B, H, T, d] to [B, T, H d].
at::Tensor merge_heads(const at::Tensor& x) {
  return x.transpose(1, 2).reshape({x.size(0), x.size(2), -1});
}

}  // namespace

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
  if (pass.cache() != nullptr) {
    return attend_over(*pass.cache(), qkv, place);
  }
  if (pass.tree() != nullptr) {
    return ops::tree_attention(qkv, heads_, pass.angles, norm(), *pass.tree());
  }
  return ops::self_attention(qkv, heads_, pass.angles, norm());
}

at::Tensor Attention::attend_over(KeyValueCache& cache, const at::Tensor& qkv,
                                  const Place& place) const {
  const auto of_key = heads_.key * query_norm_.weight().size(0);  // H_kv d
  const auto parts = qkv.split_with_sizes({qkv.size(-1) - 2 * of_key, of_key, of_key}, -1);
  const auto rotated = [&](const at::Tensor& x, int64_t num_heads, const RmsNorm& norm) {
    return ops::rotary_norm(split_heads(x, num_heads), place.pass.angles, norm.weight(),
                            norm.eps());
  };
  const auto q = rotated(parts[0], heads_.query, query_norm_);              // [B, H, T, d]
  const auto k = rotated(parts[1], heads_.key, key_norm_);                  // [B, H_kv, T, d]
  const auto v = split_heads(parts[2], heads_.key);                         // [B, H_kv, T, d]
  const auto [keys, values] = cache.append(place.layer, place.loop, k, v);  // [B, H_kv, S, d]
  return merge_heads(ops::causal_attention(q, keys, values));               // [B, T, D]
}

ops::HeadNorm Attention::norm() const {
  return {.query_weight = query_norm_.weight(),
          .key_weight = key_norm_.weight(),
          .eps = query_norm_.eps()};
}

}  // namespace loopbank
