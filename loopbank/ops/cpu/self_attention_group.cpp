#include "loopbank/ops/cpu/self_attention_group.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "loopbank/ops/gemm/scratchpad.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {
namespace {

constexpr size_t kBufferAlignment = 64;

}  // namespace

AttentionGroup::AttentionGroup(const AttentionShape& shape, bool backward)
    : shape_(shape),
      padded_tokens_(round_up<int64_t>(shape.tokens, kScoreStep)),
      element_bytes_(c10::elementSize(shape.dtype)),
      scale_(static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.width)))) {
  const auto bytes = place_buffers(nullptr, backward);
  thread_local Scratchpad scratchpad;
  place_buffers(static_cast<char*>(scratchpad.of_size(bytes)), backward);
}

size_t AttentionGroup::place_buffers(char* memory, bool backward) {
  size_t used = 0;
  const auto place = [&](auto*& buffer, int64_t values, size_t bytes_each) {
    buffer = memory == nullptr
                 ? nullptr
                 : reinterpret_cast<std::remove_reference_t<decltype(buffer)>>(memory + used);
    used += round_up(static_cast<size_t>(values) * bytes_each, kBufferAlignment);
  };
  const auto rows = std::min(padded_tokens_, kScoreTileRows);
  const auto head = padded_tokens_ * shape_.width;
  const auto scores = rows * std::min(padded_tokens_, kScoreBlockColumns);
  const bool is_narrow = shape_.dtype == at::kBFloat16;
  place(keys_, head, element_bytes_);
  place(values_, head, element_bytes_);
  place(queries_, rows * shape_.width, element_bytes_);
  place(results_, rows * shape_.width, sizeof(float));
  place(scores_, scores, sizeof(float));
  place(weights_, is_narrow ? scores : 0, element_bytes_);
  place(max_, rows, sizeof(float));
  place(sum_, rows, sizeof(float));
  place(rotated_, static_cast<int64_t>(kRotaryChunk) * shape_.width, sizeof(float));
  if (backward) {
    place(key_sums_, head, sizeof(float));
    place(value_sums_, head, sizeof(float));
    place(out_gradients_, rows * shape_.width, element_bytes_);
    place(weight_gradients_, scores, sizeof(float));
    place(score_gradients_, is_narrow ? scores : 0, element_bytes_);
    place(log_sums_, rows, sizeof(float));
    place(deltas_, rows, sizeof(float));
    place(dweight_, shape_.width, sizeof(float));
  }
  if (!is_narrow) {
    weights_ = scores_;
    score_gradients_ = weight_gradients_;
  }
  return used;
}

template <typename Visit>
void AttentionGroup::for_each_tile(const Visit& visit) const {
  for (int64_t head = 0; head < shape_.group(); ++head) {
    for (int64_t first = 0; first < padded_tokens_; first += kScoreTileRows) {
      visit(Tile{.head = key_head_ * shape_.group() + head,
                 .first = first,
                 .rows = std::min(kScoreTileRows, padded_tokens_ - first),
                 .tokens = std::min(kScoreTileRows, shape_.tokens - first)});
    }
  }
}

template <typename Visit>
void AttentionGroup::for_each_block(const Tile& tile, const Visit& visit) const {
  const auto end = tile.first + tile.rows;
  for (int64_t first = 0; first < end; first += kScoreBlockColumns) {
    visit(Block{.first = first, .columns = std::min(kScoreBlockColumns, end - first)});
  }
}

void AttentionGroup::enter(const AttentionData& data, int64_t index) {
  data_ = data;
  batch_row_ = index / shape_.key_heads;
  key_head_ = index % shape_.key_heads;
  const auto tokens = shape_.tokens;
  rotary_norm_rows(rotary_rows(key_column(), data_.key_weight, 0, tokens), compute_values(keys_));
  copy_rows(qkv_at(data_.qkv.data, value_column(), 0), shape_.qkv_stride(), tokens, values_);
  clear_rows(keys_, tokens, padded_tokens_);
  clear_rows(values_, tokens, padded_tokens_);
}

void AttentionGroup::load_queries(const Tile& tile) {
  rotary_norm_rows(rotary_rows(tile.head, data_.query_weight, tile.first, tile.tokens),
                   compute_values(queries_));
  clear_rows(queries_, tile.tokens, tile.rows);
}

void AttentionGroup::forward(const AttentionData& data, int64_t index,
                             const AttentionResult& result) {
  enter(data, index);
  const auto width = static_cast<size_t>(shape_.width);
  for_each_tile([&](const Tile& tile) {
    load_queries(tile);
    const auto queries = rows_of(queries_, 0, tile.rows);
    const auto results = sums_of(results_, 0, tile.rows);
    OnlineSoftmax state{.max = max_, .sum = sum_, .results = results_, .width = width};
    for_each_block(tile, [&](const Block& block) {
      state.first = block.first == 0;
      gemm(queries, rows_of(keys_, block.first, block.columns).transposed(),
           scores_of(scores_, at::kFloat, tile, block));
      softmax_tile(score_tile(tile, block), state);
      gemm(scores_of(weights_, shape_.dtype, tile, block),
           rows_of(values_, block.first, block.columns), results, !state.first);
    });
    finish_softmax(state, static_cast<size_t>(tile.tokens), scale_,
                   compute_values(out_at(result.out.data, tile)),
                   static_cast<size_t>(shape_.out_stride()), result.log_sums + row_of(tile));
  });
}

void AttentionGroup::load_gradients(const Tile& tile, const AttentionGradients& gradients) {
  auto* const dout = out_at(gradients.dout.data, tile);
  copy_rows(dout, shape_.out_stride(), tile.tokens, out_gradients_);
  clear_rows(out_gradients_, tile.tokens, tile.rows);
  dots_of_rows(const_compute_values(dout), const_compute_values(out_at(gradients.out.data, tile)),
               static_cast<size_t>(shape_.out_stride()), static_cast<size_t>(tile.tokens),
               static_cast<size_t>(shape_.width), deltas_);
  std::fill(deltas_ + tile.tokens, deltas_ + tile.rows, 0.0F);
  std::copy_n(gradients.log_sums + row_of(tile), tile.tokens, log_sums_);
  std::fill(log_sums_ + tile.tokens, log_sums_ + tile.rows, 0.0F);
}

void AttentionGroup::backward(const AttentionData& data, int64_t index,
                              const AttentionGradients& gradients) {
  enter(data, index);
  std::fill_n(key_sums_, padded_tokens_ * shape_.width, 0.0F);
  std::fill_n(value_sums_, padded_tokens_ * shape_.width, 0.0F);
  const ScoreGradient gradient{.log_sums = log_sums_,
                               .deltas = deltas_,
                               .weight_gradients = weight_gradients_,
                               .score_gradients = compute_values(score_gradients_)};
  for_each_tile([&](const Tile& tile) {
    load_queries(tile);
    load_gradients(tile, gradients);
    const auto queries = rows_of(queries_, 0, tile.rows);
    const auto dout = rows_of(out_gradients_, 0, tile.rows);
    const auto query_sums = sums_of(results_, 0, tile.rows);
    for_each_block(tile, [&](const Block& block) {
      const auto keys = rows_of(keys_, block.first, block.columns);
      gemm(queries, keys.transposed(), scores_of(scores_, at::kFloat, tile, block));
      gemm(dout, rows_of(values_, block.first, block.columns).transposed(),
           scores_of(weight_gradients_, at::kFloat, tile, block));
      score_gradient_tile(score_tile(tile, block), gradient);
      const auto weights = scores_of(weights_, shape_.dtype, tile, block);
      const auto score_gradients = scores_of(score_gradients_, shape_.dtype, tile, block);
      gemm(weights.transposed(), dout, sums_of(value_sums_, block.first, block.columns), true);
      gemm(score_gradients.transposed(), queries, sums_of(key_sums_, block.first, block.columns),
           true);
      gemm(score_gradients, keys, query_sums, block.first > 0);
    });
    store_rotary_gradient(rotary_rows(tile.head, data_.query_weight, tile.first, tile.tokens),
                          results_, qkv_at(gradients.dqkv.data, tile.head, tile.first),
                          gradients.dweights);
  });
  store_key_gradients(gradients);
}

void AttentionGroup::store_key_gradients(const AttentionGradients& gradients) {
  for (int64_t first = 0; first < shape_.tokens; first += kScoreTileRows) {
    store_rotary_gradient(rotary_rows(key_column(), data_.key_weight, first,
                                      std::min(kScoreTileRows, shape_.tokens - first)),
                          key_sums_ + first * shape_.width,
                          qkv_at(gradients.dqkv.data, key_column(), first),
                          gradients.dweights + shape_.width);
  }
  store_rows(value_sums_, static_cast<size_t>(shape_.tokens), static_cast<size_t>(shape_.width),
             compute_values(qkv_at(gradients.dqkv.data, value_column(), 0)),
             static_cast<size_t>(shape_.qkv_stride()));
}

void AttentionGroup::store_rotary_gradient(const RotaryRows& rows, const float* sums, void* dx,
                                           float* dweight) {
  std::fill_n(dweight_, shape_.width, 0.0F);
  rotary_norm_backward_rows(
      rows, {.dy = sums, .scale = scale_, .dx = compute_values(dx), .dweight = dweight_});
  std::transform(dweight_, dweight_ + shape_.width, dweight, dweight, std::plus<>());
}

char* AttentionGroup::qkv_at(const void* qkv, int64_t head, int64_t token) const {
  const auto row = batch_row_ * shape_.tokens + token;
  return at_element(qkv, row * shape_.qkv_stride() + head * shape_.width);
}

char* AttentionGroup::out_at(const void* out, const Tile& tile) const {
  const auto row = batch_row_ * shape_.tokens + tile.first;
  return at_element(out, row * shape_.out_stride() + tile.head * shape_.width);
}

char* AttentionGroup::at_element(const void* data, int64_t element) const {
  return static_cast<char*>(const_cast<void*>(data)) +
         static_cast<size_t>(element) * element_bytes_;
}

int64_t AttentionGroup::row_of(const Tile& tile) const {
  return (batch_row_ * shape_.query_heads + tile.head) * shape_.tokens + tile.first;
}

RotaryRows AttentionGroup::rotary_rows(int64_t head, const float* weight, int64_t first,
                                       int64_t tokens) const {
  return {.x = const_compute_values(qkv_at(data_.qkv.data, head, first)),
          .stride = static_cast<size_t>(shape_.qkv_stride()),
          .cosines = data_.cosines + first * (shape_.width / 2),
          .sines = data_.sines + first * (shape_.width / 2),
          .place = shape_.place,
          .weight = weight,
          .rows = static_cast<size_t>(tokens),
          .width = static_cast<size_t>(shape_.width),
          .eps = shape_.eps,
          .rotated = rotated_};
}

void AttentionGroup::copy_rows(const char* from, int64_t stride, int64_t rows, void* to) const {
  const auto row_bytes = static_cast<size_t>(shape_.width) * element_bytes_;
  const auto step = static_cast<size_t>(stride) * element_bytes_;
  auto* target = static_cast<char*>(to);
  for (int64_t row = 0; row < rows; ++row, from += step, target += row_bytes) {
    std::memcpy(target, from, row_bytes);
  }
}

void AttentionGroup::clear_rows(void* rows, int64_t first, int64_t last) const {
  const auto row_bytes = static_cast<size_t>(shape_.width) * element_bytes_;
  std::memset(static_cast<char*>(rows) + static_cast<size_t>(first) * row_bytes, 0,
              static_cast<size_t>(last - first) * row_bytes);
}

Matrix AttentionGroup::rows_of(void* data, int64_t first, int64_t rows) const {
  return {at_element(data, first * shape_.width), shape_.dtype, rows, shape_.width, shape_.width};
}

Matrix AttentionGroup::sums_of(float* data, int64_t first, int64_t rows) const {
  return {data + first * shape_.width, at::kFloat, rows, shape_.width, shape_.width};
}

Matrix AttentionGroup::scores_of(void* data, at::ScalarType dtype, const Tile& tile,
                                 const Block& block) const {
  return {data, dtype, tile.rows, block.columns, block.columns};
}

ScoreTile AttentionGroup::score_tile(const Tile& tile, const Block& block) const {
  return {.scores = scores_,
          .weights = compute_values(weights_),
          .stride = static_cast<size_t>(block.columns),
          .rows = static_cast<size_t>(tile.rows),
          .columns = static_cast<size_t>(block.columns),
          .visible = static_cast<size_t>(tile.first - block.first + 1),
          .scale = scale_};
}

}  // namespace loopbank::ops
