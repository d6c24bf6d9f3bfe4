/// self_attention (self_attention.h) on the CPU: tiles of queries against the keys up to the
/// diagonal, an online softmax over blocks of keys, and a backward pass that computes the weights
/// again.
///
/// Goals: no [T, T] anywhere, no work above the diagonal but for half of its tiles, products large
/// enough for gemm. Saved for backward: qkv, the result, the log-sum-exp of each row of scores
/// [B, H, T] fp32, in units of the scores.
/// A thread takes one key/value head of a batch row with all query heads that read it, so that the
/// sums of dk and dv are its own. Rejected: threads over tiles of queries, which would balance few
/// heads better, but need those sums once a thread.

#include "loopbank/ops/cpu/fused.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cpu/elementwise_rows.h"
#include "loopbank/ops/cpu/self_attention_group.h"
#include "loopbank/ops/kernels.h"

namespace loopbank::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// The groups of a call, shared out to threads: visit(group, index).
template <typename Visit>
void for_each_group(const AttentionShape& shape, bool backward, const Visit& visit) {
  // Two at least: a single one would run outside a parallel region, where each of its many small
  // products wakes all threads.
  const auto places = std::max<int64_t>(2, shape.num_groups());
  at::parallel_for(0, places, /*grain_size=*/1, [&](int64_t first, int64_t last) {
    last = std::min(last, shape.num_groups());
    if (first < last) {
      AttentionGroup group(shape, backward);
      for (; first < last; ++first) {
        visit(group, first);
      }
    }
  });
}

class SelfAttention : public torch::autograd::Function<SelfAttention> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv,
                            const c10::optional<at::Tensor>& query_weight,
                            const c10::optional<at::Tensor>& key_weight,
                            const AttentionHeads& heads, const RotaryTable& angles, double eps,
                            NormPlace place) {
    const auto dense_or_none = [](const c10::optional<at::Tensor>& weight) {
      return weight ? dense(*weight) : at::Tensor();
    };
    const variable_list inputs = {dense(qkv), dense_or_none(query_weight),
                                  dense_or_none(key_weight), dense(angles.cosines),
                                  dense(angles.sines)};
    const auto shape = shape_of(qkv, heads, eps, place);
    const auto out = at::empty({shape.batch, shape.tokens, shape.query_heads * shape.width},
                               qkv.options());  // [B, T, H d]
    const auto log_sums =
        at::empty({shape.batch, shape.query_heads, shape.tokens}, at::kFloat);  // [B, H, T]
    const auto data = data_of(inputs);
    for_each_group(shape, /*backward=*/false, [&](AttentionGroup& group, int64_t index) {
      group.forward(data, index, {.out = values(out), .log_sums = floats(log_sums)});
    });
    ctx->saved_data["heads"] = std::vector<int64_t>{heads.query, heads.key};
    ctx->saved_data["eps"] = eps;
    ctx->saved_data["place"] = static_cast<int64_t>(place);
    auto saved = inputs;
    saved.insert(saved.end(), {out, log_sums});
    ctx->save_for_backward(saved);
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto heads = ctx->saved_data["heads"].toIntVector();
    const auto shape =
        shape_of(saved[0], {.query = heads[0], .key = heads[1]}, ctx->saved_data["eps"].toDouble(),
                 static_cast<NormPlace>(ctx->saved_data["place"].toInt()));
    const auto dout = dense(gradients[0]);  // [B, T, H d]
    const auto dqkv = at::empty_like(saved[0]);
    // Sums of each group and not of each thread: the same for any number of threads.
    const auto dweights = at::zeros({shape.num_groups(), 2, shape.width}, at::kFloat);
    const auto data = data_of(saved);
    for_each_group(shape, /*backward=*/true, [&](AttentionGroup& group, int64_t index) {
      group.backward(data, index,
                     {.out = const_values(saved[5]),
                      .log_sums = const_floats(saved[6]),
                      .dout = const_values(dout),
                      .dqkv = values(dqkv),
                      .dweights = floats(dweights) + index * 2 * shape.width});
    });
    const auto wanted = [&](size_t input, const at::Tensor& gradient) {
      return ctx->needs_input_grad(input) ? gradient : at::Tensor();
    };
    variable_list result = {wanted(0, dqkv)};
    if (shape.place != NormPlace::kNone) {   // else the weights are no inputs
      const auto dweight = dweights.sum(0);  // [2, d]
      result.insert(result.end(), {wanted(1, dweight[0]), wanted(2, dweight[1])});
    }
    result.resize(kInputs);
    return result;
  }

 private:
  static constexpr size_t kInputs = 7;  // of forward

  static AttentionShape shape_of(const at::Tensor& qkv, const AttentionHeads& heads, double eps,
                                 NormPlace place) {
    return {.batch = qkv.size(0),
            .tokens = qkv.size(1),
            .query_heads = heads.query,
            .key_heads = heads.key,
            .width = qkv.size(2) / (heads.query + 2 * heads.key),
            .dtype = qkv.scalar_type(),
            .place = place,
            .eps = static_cast<float>(eps)};
  }

  static AttentionData data_of(const variable_list& inputs) {
    return {.qkv = const_values(inputs[0]),
            .query_weight = const_floats(inputs[1]),
            .key_weight = const_floats(inputs[2]),
            .cosines = const_floats(inputs[3]),
            .sines = const_floats(inputs[4])};
  }
};

}  // namespace

at::Tensor cpu::self_attention(const at::Tensor& qkv, const AttentionHeads& heads,
                               const RotaryTable& angles, const HeadNorm& norm) {
  const ProfiledOp op("loopbank::self_attention");
  const auto weight = [&](const at::Tensor& w) {
    return norm.place == NormPlace::kNone ? c10::optional<at::Tensor>() : c10::make_optional(w);
  };
  return SelfAttention::apply(qkv, weight(norm.query_weight), weight(norm.key_weight), heads,
                              angles, norm.eps, norm.place);
}

}  // namespace loopbank::ops
