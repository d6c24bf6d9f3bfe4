#pragma once
/// Keys and values of the tokens read so far, for the tokens that follow. Inference only.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <utility>

namespace loopbank {

/// One entry per layer and loop: every loop of an adaptive layer attends over the states of the
/// same loop.
class KeyValueCache {
 public:
  struct Entry {
    at::Tensor keys;    ///< [B, H_kv, capacity, d]
    at::Tensor values;  ///< [B, H_kv, capacity, d]
  };

  /// Rotated and normed keys and values of new tokens are stored after the first `length()` tokens.
  /// @return keys and values of all tokens so far, [B, H_kv, length + T, d]
  std::pair<at::Tensor, at::Tensor> append(int64_t layer, int64_t loop, const at::Tensor& keys,
                                           const at::Tensor& values);

  /// Tokens that every entry holds.
  [[nodiscard]] int64_t length() const { return length_; }
  /// Called by the model once a forward pass has appended its tokens in every layer.
  void advance(int64_t num_tokens) { length_ += num_tokens; }
  /// Forgets the tokens from `length` on.
  void truncate(int64_t length) { length_ = length; }

 private:
  int64_t length_ = 0;
  std::map<std::pair<int64_t, int64_t>, Entry> entries_;  // key: layer and loop
};

}  // namespace loopbank
