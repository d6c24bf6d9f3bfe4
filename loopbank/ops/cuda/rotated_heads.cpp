/// rotated_heads (rotated_heads.h) on a GPU, for self_attention too. Saved for backward: qkv, angles
/// and weights, all aligned, since heads wider than 64 are taken in vectors alone. The values are rows
/// of qkv, not a copy: attention takes them with their strides.

#include "loopbank/ops/cuda/fused.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/DeviceGuard.h>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cuda/launches.h"
#include "loopbank/ops/cuda/tensors.h"

namespace loopbank::ops::cuda {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct DenseHeads {
  at::Tensor qkv;  // [R, (H + 2 H_kv) d]
  at::Tensor cosines, sines;
  at::Tensor query_weight, key_weight;  // undefined without a norm
  NormPlace place = NormPlace::kAfter;
};

at::Tensor aligned_or_none(const at::Tensor& x) {
  return x.defined() ? aligned(x) : x;
}

RotaryForward rotary_call(const DenseHeads& in, int64_t num_queries, int64_t num_keys, double eps) {
  return {.qkv = values_of(in.qkv),
          .cosines = floats_of(in.cosines),
          .sines = floats_of(in.sines),
          .place = in.place,
          .query_weight = floats_of(in.query_weight),
          .key_weight = floats_of(in.key_weight),
          .query = {},
          .key = {},
          .rows = in.qkv.size(0),
          .positions = in.cosines.size(0),
          .num_queries = static_cast<int>(num_queries),
          .num_keys = static_cast<int>(num_keys),
          .width = static_cast<int>(2 * in.cosines.size(1)),
          .eps = static_cast<float>(eps)};
}

/// Query [R, H, d], key [R, H_kv, d], value [R, H_kv, d].
variable_list heads_on_device(const DenseHeads& in, int64_t num_queries, int64_t num_keys,
                              double eps) {
  const auto& qkv = in.qkv;
  const c10::DeviceGuard guard(qkv.device());
  const auto rows = qkv.size(0);
  const auto width = 2 * in.cosines.size(1);
  const auto query = empty_on(qkv, {rows, num_queries, width}, qkv.scalar_type());
  const auto key = empty_on(qkv, {rows, num_keys, width}, qkv.scalar_type());
  auto call = rotary_call(in, num_queries, num_keys, eps);
  call.query = values_of(query);
  call.key = values_of(key);
  rotary_forward(call, stream_of(qkv));
  const auto value = qkv.detach()
                         .narrow(1, (num_queries + num_keys) * width, num_keys * width)
                         .view({rows, num_keys, width});
  return {query, key, value};
}

class DeviceRotatedHeads : public torch::autograd::Function<DeviceRotatedHeads> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& qkv,
                               const c10::optional<at::Tensor>& query_weight,
                               const c10::optional<at::Tensor>& key_weight,
                               const at::Tensor& cosines, const at::Tensor& sines,
                               const AttentionHeads& heads, double eps, NormPlace place) {
    const DenseHeads in{.qkv = aligned(qkv),
                        .cosines = aligned(cosines),
                        .sines = aligned(sines),
                        .query_weight = aligned_or_none(query_weight.value_or(at::Tensor())),
                        .key_weight = aligned_or_none(key_weight.value_or(at::Tensor())),
                        .place = place};
    ctx->save_for_backward({in.qkv, in.cosines, in.sines, in.query_weight, in.key_weight});
    ctx->saved_data["num_queries"] = heads.query;
    ctx->saved_data["num_keys"] = heads.key;
    ctx->saved_data["eps"] = eps;
    ctx->saved_data["place"] = static_cast<int64_t>(place);
    return heads_on_device(in, heads.query, heads.key, eps);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const DenseHeads in{.qkv = saved[0],
                        .cosines = saved[1],
                        .sines = saved[2],
                        .query_weight = saved[3],
                        .key_weight = saved[4],
                        .place = static_cast<NormPlace>(ctx->saved_data["place"].toInt())};
    const c10::DeviceGuard guard(in.qkv.device());
    const auto dquery = aligned(gradients[0]);  // [R, H, d]
    const auto dkey = aligned(gradients[1]);    // [R, H_kv, d]
    const auto dvalue = aligned(gradients[2]);  // [R, H_kv, d]
    const auto dqkv = at::empty_like(in.qkv);
    const bool has_norm = in.place != NormPlace::kNone;
    const auto sums = [&] {
      return has_norm
                 ? empty_on(dqkv, {partial_sums(dqkv.size(0)), in.query_weight.size(0)}, at::kFloat)
                 : at::Tensor();
    };
    const auto dquery_weights = sums();
    const auto dkey_weights = sums();
    rotary_backward({.forward = rotary_call(in, ctx->saved_data["num_queries"].toInt(),
                                            ctx->saved_data["num_keys"].toInt(),
                                            ctx->saved_data["eps"].toDouble()),
                     .dquery = values_of(dquery),
                     .dkey = values_of(dkey),
                     .dvalue = values_of(dvalue),
                     .dqkv = values_of(dqkv),
                     .dquery_weights = floats_of(dquery_weights),
                     .dkey_weights = floats_of(dkey_weights)},
                    stream_of(dqkv));
    variable_list result = {dqkv};
    if (has_norm) {
      result.insert(result.end(), {dquery_weights.sum(0), dkey_weights.sum(0)});
    }
    result.resize(8);
    return result;
  }
};

}  // namespace

RotatedHeads rotated_heads(const at::Tensor& qkv, const AttentionHeads& heads,
                           const RotaryTable& angles, const HeadNorm& norm) {
  const ProfiledOp op("loopbank::rotated_heads");
  variable_list parts;
  if (at::GradMode::is_enabled()) {
    const auto weight = [&](const at::Tensor& w) {
      return norm.place == NormPlace::kNone ? c10::optional<at::Tensor>() : c10::make_optional(w);
    };
    parts = DeviceRotatedHeads::apply(qkv, weight(norm.query_weight), weight(norm.key_weight),
                                      angles.cosines, angles.sines, heads, norm.eps, norm.place);
  } else {
    parts = heads_on_device({.qkv = aligned(qkv),
                             .cosines = aligned(angles.cosines),
                             .sines = aligned(angles.sines),
                             .query_weight = aligned_or_none(norm.query_weight),
                             .key_weight = aligned_or_none(norm.key_weight),
                             .place = norm.place},
                            heads.query, heads.key, norm.eps);
  }
  return {.query = parts[0], .key = parts[1], .value = parts[2]};
}

}  // namespace loopbank::ops::cuda
