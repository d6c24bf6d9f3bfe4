#include "loopbank/model/attention.h"

#include <ATen/ATen.h>

#include "loopbank/ops/attention.h"
#include "loopbank/ops/rotary.h"

namespace loopbank {
namespace {

/// [B, T, H d] to [B, H, T, d].
at::Tensor split_heads(const at::Tensor& x, int64_t head_size) {
  return x.view({x.size(0), x.size(1), -1, head_size}).transpose(1, 2);
}

/// [B, H, T, d] to [B, T, H d].
at::Tensor merge_heads(const at::Tensor& x) {
  return x.transpose(1, 2).reshape({x.size(0), x.size(2), -1});
}

}  // namespace

Attention::Attention(Parameters& parameters, const std::string& name, const ModelConfig& config)
    : head_size_(config.head_size()),
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

at::Tensor Attention::forward(const at::Tensor& x, Pass& pass) const {
  const auto rotated = [&](const Linear& linear, const RmsNorm& norm) {
    const auto heads = split_heads(linear.forward(x, pass), head_size_);
    return ops::rotary_norm(heads, pass.angles, norm.weight(), norm.eps());
  };
  const auto q = rotated(query_, query_norm_);                             // [B, H, T, d]
  const auto k = rotated(key_, key_norm_);                                 // [B, H_kv, T, d]
  const auto v = split_heads(value_.forward(x, pass), head_size_);         // [B, H_kv, T, d]
  const auto [keys, values] = pass.remember(k, v);                         // [B, H_kv, S, d]
  const auto mixed = merge_heads(ops::causal_attention(q, keys, values));  // [B, T, D]
  return output_.forward(mixed, pass);                                     // [B, T, D]
}

}  // namespace loopbank
