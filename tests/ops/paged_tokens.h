#pragma once
/// A sequence's keys and values in blocks, for the tests of what reads them.

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "gradient_check.h"
#include "loopbank/ops/pages.h"

namespace loopbank::testing {

/// Random tokens, stored in blocks whose other places hold NaN. Not movable: its rows point into it.
class PagedTokens {
 public:
  /// @param count  of tokens, of which the first `stored` are in blocks
  PagedTokens(RandomTensors& random, int64_t count, int64_t stored, int64_t key_heads,
              int64_t width, at::ScalarType dtype)
      : keys_(random.normal({count, key_heads, width}, dtype)),
        values_(random.normal({count, key_heads, width}, dtype)),
        layout_{.key_heads = key_heads, .width = width, .is_bf16 = dtype == at::kBFloat16} {
    for (int64_t token = 0; token < stored; ++token) {
      if (token % ops::kPageTokens == 0) {
        blocks_.push_back(at::full({layout_.values()}, std::nan(""), keys_.options()));
        pointers_.push_back(blocks_.back().data_ptr());
      }
      ops::store_token(layout_, blocks_.back().data_ptr(), token % ops::kPageTokens, key_of(token),
                       value_of(token));
    }
  }
  PagedTokens(const PagedTokens&) = delete;
  PagedTokens& operator=(const PagedTokens&) = delete;

  /// The first `length` tokens in blocks; with its own, that of position `length` besides.
  [[nodiscard]] ops::PagedRow row(int64_t length, bool own) const {
    return {.blocks = length > 0 ? pointers_.data() : nullptr,
            .length = length,
            .own_key = own ? key_of(length) : nullptr,
            .own_value = own ? value_of(length) : nullptr};
  }

  [[nodiscard]] const at::Tensor& keys() const { return keys_; }      ///< [S, H_kv, d]
  [[nodiscard]] const at::Tensor& values() const { return values_; }  ///< [S, H_kv, d]
  [[nodiscard]] const std::vector<at::Tensor>& blocks() const { return blocks_; }
  [[nodiscard]] const ops::PageLayout& layout() const { return layout_; }

 private:
  [[nodiscard]] const void* key_of(int64_t token) const { return keys_[token].data_ptr(); }
  [[nodiscard]] const void* value_of(int64_t token) const { return values_[token].data_ptr(); }

  at::Tensor keys_;
  at::Tensor values_;
  ops::PageLayout layout_;
  std::vector<at::Tensor> blocks_;
  std::vector<const void*> pointers_;
};

}  // namespace loopbank::testing
