#include "loopbank/model/context.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <cmath>

#include "loopbank/model/config.h"
#include "loopbank/ops/check.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

constexpr int64_t kSmallestCapacity = 64;  // tokens

/// A buffer of more tokens that starts with the `length` tokens of `old`, where there is one.
at::Tensor grow(const at::Tensor& old, int64_t length, int64_t capacity, const at::Tensor& like) {
  auto grown = at::empty({like.size(0), like.size(1), capacity, like.size(3)}, like.options());
  if (old.defined() && length > 0) {
    grown.narrow(2, 0, length).copy_(old.narrow(2, 0, length));
  }
  return grown;  // [B, H_kv, capacity, d]
}

}  // namespace

std::pair<at::Tensor, at::Tensor> KeyValueCache::append(int64_t layer, int64_t loop,
                                                        const at::Tensor& keys,
                                                        const at::Tensor& values) {
  auto& entry = entries_[layer * (kMaxLoops + 1) + loop];
  const int64_t added = keys.size(2);
  const int64_t total = length_ + added;
  if (length_ > 0 && (!entry.keys.defined() || entry.keys.size(0) != keys.size(0) ||
                      entry.keys.size(2) < length_)) {
    fail(ErrorCode::kShape,
         "KeyValueCache: expected {} cached tokens of {} rows in layer {}, loop {}, got {}. Use a "
         "cache with one batch and one loop budget.",
         length_, keys.size(0), layer, loop,
         entry.keys.defined() ? ops::format_shape(entry.keys.sizes()) : "none");
  }
  if (!entry.keys.defined() || entry.keys.size(2) < total || entry.keys.size(0) != keys.size(0)) {
    const int64_t held = entry.keys.defined() ? entry.keys.size(2) : 0;
    const int64_t capacity = std::max({kSmallestCapacity, 2 * held, total});
    entry.keys = grow(entry.keys, length_, capacity, keys);
    entry.values = grow(entry.values, length_, capacity, values);
  }
  entry.keys.narrow(2, length_, added).copy_(keys);
  entry.values.narrow(2, length_, added).copy_(values);
  return {entry.keys.narrow(2, 0, total), entry.values.narrow(2, 0, total)};
}

void Recorder::reset(size_t num_layers) {
  for (auto* values : {&halting, &local_gate, &global_gate, &state_norm, &state_change}) {
    values->assign(num_layers, at::Tensor());
  }
}

void Recorder::record_states(int64_t layer, const at::Tensor& x,
                             const std::vector<at::Tensor>& states) {
  const at::NoGradGuard no_grad;
  const auto length = [](const at::Tensor& h) { return at::linalg_vector_norm(h, 2, {-1}); };
  std::vector<at::Tensor> lengths{length(x)};  // [B, T]
  std::vector<at::Tensor> changes;
  auto before = x;
  for (const auto& h : states) {
    changes.push_back(length(h - before) / lengths.back());
    lengths.push_back(length(h));
    before = h;
  }
  const auto width = static_cast<double>(x.size(-1));
  state_norm[static_cast<size_t>(layer)] = at::stack(lengths) / std::sqrt(width);  // [N + 1, B, T]
  state_change[static_cast<size_t>(layer)] = at::stack(changes);                   // [N, B, T]
}

}  // namespace loopbank
