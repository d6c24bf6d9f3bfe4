#include "loopbank/model/key_value_cache.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>

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
  auto& entry = entries_[{layer, loop}];
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

}  // namespace loopbank
