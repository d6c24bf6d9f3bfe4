#pragma once
/// One key/value head of a batch row with the query heads that read it: the share of self_attention
/// (self_attention.cpp) that one thread computes, tile by tile.

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>

#include "loopbank/ops/gemm.h"
#include "loopbank/ops/norm_place.h"
#include "loopbank/ops/simd/elementwise_values.h"
#include "loopbank/ops/simd/self_attention_kernels.h"
#include "loopbank/ops/simd/self_attention_rotary_kernels.h"

namespace loopbank::ops {

struct AttentionShape {
  int64_t batch = 0;        ///< B
  int64_t tokens = 0;       ///< T
  int64_t query_heads = 0;  ///< H
  int64_t key_heads = 0;    ///< H_kv
  int64_t width = 0;        ///< d
  at::ScalarType dtype = at::kFloat;
  NormPlace place = NormPlace::kAfter;
  float eps = 0.0F;

  [[nodiscard]] int64_t num_groups() const { return batch * key_heads; }
  /// Query heads that read a key head.
  [[nodiscard]] int64_t group() const { return query_heads / key_heads; }
  /// Elements from a token to the next in qkv.
  [[nodiscard]] int64_t qkv_stride() const { return (query_heads + 2 * key_heads) * width; }
  /// The same in the result.
  [[nodiscard]] int64_t out_stride() const { return query_heads * width; }
};

/// What both passes read, dense.
struct AttentionData {
  ConstValues qkv = {};                 ///< [B, T, (H + 2 H_kv) d]
  const float* query_weight = nullptr;  ///< [d]; null without a norm
  const float* key_weight = nullptr;    ///< [d]; likewise
  const float* cosines = nullptr;       ///< [T, d/2]
  const float* sines = nullptr;         ///< [T, d/2]
};

struct AttentionResult {
  Values out = {};            ///< [B, T, H d]
  float* log_sums = nullptr;  ///< [B, H, T]
};

struct AttentionGradients {
  ConstValues out = {};             ///< [B, T, H d]
  const float* log_sums = nullptr;  ///< [B, H, T]
  ConstValues dout = {};            ///< [B, T, H d]
  Values dqkv = {};                 ///< [B, T, (H + 2 H_kv) d], the head's part is written
  float* dweights = nullptr;        ///< [2, d] of queries and keys, added to
};

/// The buffers of a thread and what it does with them. Rows and keys are padded with zeros to a
/// multiple of a few, so that sequences of many lengths need few kinds of matrix products.
class AttentionGroup {
 public:
  AttentionGroup(const AttentionShape& shape, bool backward);

  /// @param index  batch row * H_kv + key head
  void forward(const AttentionData& data, int64_t index, const AttentionResult& result);
  void backward(const AttentionData& data, int64_t index, const AttentionGradients& gradients);

 private:
  /// Queries of one head.
  struct Tile {
    int64_t head = 0;   // of the query heads
    int64_t first = 0;  // token
    int64_t rows = 0;   // with those of the padding
    int64_t tokens = 0;
  };
  /// Keys that a tile reads.
  struct Block {
    int64_t first = 0;  // token
    int64_t columns = 0;
  };

  template <typename Visit>
  void for_each_tile(const Visit& visit) const;
  template <typename Visit>
  void for_each_block(const Tile& tile, const Visit& visit) const;

  /// Sets the buffers, from `memory` on where it is not null, and gives their bytes together.
  size_t place_buffers(char* memory, bool backward);
  /// Makes a group the one at hand, with its keys and values in the buffers.
  void enter(const AttentionData& data, int64_t index);
  void load_queries(const Tile& tile);
  void load_gradients(const Tile& tile, const AttentionGradients& gradients);
  void store_key_gradients(const AttentionGradients& gradients);
  /// dx from `sums`, and dweight, a few rows at a time so that thousands lose no digits.
  void store_rotary_gradient(const RotaryRows& rows, const float* sums, void* dx, float* dweight);

  // Heads counted over queries, keys and values.
  [[nodiscard]] int64_t key_column() const { return shape_.query_heads + key_head_; }
  [[nodiscard]] int64_t value_column() const { return key_column() + shape_.key_heads; }
  /// A row of a head in qkv or its gradient.
  [[nodiscard]] char* qkv_at(const void* qkv, int64_t head, int64_t token) const;
  /// The first row of a tile in the result or its gradient.
  [[nodiscard]] char* out_at(const void* out, const Tile& tile) const;
  [[nodiscard]] char* at_element(const void* data, int64_t element) const;
  /// Where the numbers of a tile's rows begin in [B, H, T].
  [[nodiscard]] int64_t row_of(const Tile& tile) const;
  [[nodiscard]] RotaryRows rotary_rows(int64_t head, const float* weight, int64_t first,
                                       int64_t tokens) const;

  /// Rows of d values, `stride` elements apart, to dense ones.
  void copy_rows(const char* from, int64_t stride, int64_t rows, void* to) const;
  void clear_rows(void* rows, int64_t first, int64_t last) const;

  [[nodiscard]] Values compute_values(void* data) const {
    return {data, shape_.dtype == at::kBFloat16};
  }
  [[nodiscard]] ConstValues const_compute_values(const void* data) const {
    return {data, shape_.dtype == at::kBFloat16};
  }
  /// Rows of d values in the compute dtype.
  [[nodiscard]] Matrix rows_of(void* data, int64_t first, int64_t rows) const;
  /// Rows of d sums in fp32.
  [[nodiscard]] Matrix sums_of(float* data, int64_t first, int64_t rows) const;
  [[nodiscard]] Matrix scores_of(void* data, at::ScalarType dtype, const Tile& tile,
                                 const Block& block) const;
  [[nodiscard]] ScoreTile score_tile(const Tile& tile, const Block& block) const;

  AttentionShape shape_;
  int64_t padded_tokens_;
  size_t element_bytes_;
  float scale_;

  // The group at hand.
  AttentionData data_;
  int64_t batch_row_ = 0;
  int64_t key_head_ = 0;

  // [padded T, d] in the compute dtype; [padded T, d] fp32
  void* keys_ = nullptr;
  void* values_ = nullptr;
  float* key_sums_ = nullptr;
  float* value_sums_ = nullptr;
  // Of a tile: [rows, d] in the compute dtype, [rows, d] fp32, [rows] fp32
  void* queries_ = nullptr;
  void* out_gradients_ = nullptr;
  float* results_ = nullptr;
  float* max_ = nullptr;
  float* sum_ = nullptr;
  float* log_sums_ = nullptr;
  float* deltas_ = nullptr;
  // Of a tile and a block: [rows, columns]; those in the compute dtype lie in the fp32 ones for
  // fp32
  float* scores_ = nullptr;
  float* weight_gradients_ = nullptr;
  void* weights_ = nullptr;
  void* score_gradients_ = nullptr;
  float* rotated_ = nullptr;  // [kRotaryChunk, d]
  float* dweight_ = nullptr;  // [d]
};

}  // namespace loopbank::ops
