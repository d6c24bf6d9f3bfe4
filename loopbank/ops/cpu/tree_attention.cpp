/// tree_attention (self_attention.h) on the CPU: chain by chain of the tree, whose keys all tokens
/// from the chain to the end of its descendants read, so that shared keys meet their many queries
/// in one product.
///
/// Goals: no [T, T] anywhere, no work for tokens that do not see each other but the padding of
/// products to a few sizes. Not differentiable: it is for inference. A thread takes a query head.

#include "loopbank/ops/cpu/fused.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "loopbank/ops/cpu/elementwise_rows.h"
#include "loopbank/ops/gemm.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/self_attention_kernels.h"
#include "loopbank/ops/simd/self_attention_rotary_kernels.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {
namespace {

/// To where tiles and blocks end, so that products come in few sizes.
int64_t padded(int64_t n) {
  return round_up<int64_t>(n, kScoreStep);
}

/// What a call reads, dense.
struct TreeInputs {
  at::Tensor qkv;  // [1, T, (H + 2 H_kv) d]
  AttentionHeads heads;
  at::Tensor cosines;  // [T, d/2]
  at::Tensor sines;    // [T, d/2]
  at::Tensor query_weight;
  at::Tensor key_weight;
  double eps = 0.0;

  [[nodiscard]] int64_t tokens() const { return qkv.size(1); }
  [[nodiscard]] int64_t width() const { return query_weight.size(0); }
};

/// The buffers of a thread and one query head after the other.
class TreeHead {
 public:
  TreeHead(const TreeInputs& in, const TokenTree& tree);

  /// Columns [head d, (head + 1) d) of out [1, T, H d].
  void forward(int64_t head, const at::Tensor& out);

 private:
  /// Keys [first, first + columns) against queries [row, row + rows).
  struct Part {
    int64_t first = 0;
    int64_t columns = 0;
    int64_t row = 0;
    int64_t rows = 0;
    bool is_root = false;  // nothing was seen by these queries before
  };

  void load(int64_t head);
  void visit_chain(const TokenTree::Chain& chain, bool is_root);
  void attend(const Part& part);

  /// A head of queries or keys, rotated and normed.
  void rotate(int64_t column, const at::Tensor& weight, const at::Tensor& to);

  [[nodiscard]] Matrix scores_of(const at::Tensor& scores, const Part& part) const;

  const TreeInputs& in_;
  const TokenTree& tree_;
  bool is_bf16_;
  float scale_;
  at::Tensor queries_;   // [padded T, d] in the compute dtype, zeros behind T
  at::Tensor keys_;      // likewise
  at::Tensor values_;    // likewise
  at::Tensor results_;   // [padded T, d] fp32
  at::Tensor max_;       // [T] fp32
  at::Tensor sum_;       // [T] fp32
  at::Tensor log_sums_;  // [T] fp32, not used
  at::Tensor scores_;    // [kScoreTileRows, kScoreBlockColumns] fp32, dense rows of a part
  at::Tensor weights_;   // likewise in the compute dtype; `scores_` for fp32
  at::Tensor rotated_;   // [kRotaryChunk, d] fp32
};

TreeHead::TreeHead(const TreeInputs& in, const TokenTree& tree)
    : in_(in),
      tree_(tree),
      is_bf16_(in.qkv.scalar_type() == at::kBFloat16),
      scale_(static_cast<float>(1.0 / std::sqrt(static_cast<double>(in.width())))) {
  const auto rows = padded(in.tokens()) + kScoreTileRows;  // a part's padding ends within
  const auto buffer = [&](at::ScalarType dtype) { return at::zeros({rows, in.width()}, dtype); };
  queries_ = buffer(in.qkv.scalar_type());
  keys_ = buffer(in.qkv.scalar_type());
  values_ = buffer(in.qkv.scalar_type());
  results_ = buffer(at::kFloat);
  max_ = at::empty({rows}, at::kFloat);
  sum_ = at::empty({rows}, at::kFloat);
  log_sums_ = at::empty({rows}, at::kFloat);
  scores_ = at::zeros({kScoreTileRows, kScoreBlockColumns}, at::kFloat);
  weights_ = is_bf16_ ? at::zeros({kScoreTileRows, kScoreBlockColumns}, at::kBFloat16) : scores_;
  rotated_ = at::empty({static_cast<int64_t>(kRotaryChunk), in.width()}, at::kFloat);
}

void TreeHead::rotate(int64_t column, const at::Tensor& weight, const at::Tensor& to) {
  const auto x = in_.qkv.narrow(-1, column * in_.width(), in_.width());
  rotary_norm_rows({.x = {x.data_ptr(), is_bf16_},
                    .stride = static_cast<size_t>(in_.qkv.size(-1)),
                    .cosines = const_floats(in_.cosines),
                    .sines = const_floats(in_.sines),
                    .weight = const_floats(weight),
                    .rows = static_cast<size_t>(in_.tokens()),
                    .width = static_cast<size_t>(in_.width()),
                    .eps = static_cast<float>(in_.eps),
                    .rotated = floats(rotated_)},
                   values(to));
}

void TreeHead::load(int64_t head) {
  const auto key_head = head / (in_.heads.query / in_.heads.key);
  rotate(head, in_.query_weight, queries_);
  rotate(in_.heads.query + key_head, in_.key_weight, keys_);
  const auto column = (in_.heads.query + in_.heads.key + key_head) * in_.width();
  values_.narrow(0, 0, in_.tokens()).copy_(in_.qkv[0].narrow(-1, column, in_.width()));
  results_.zero_();
}

Matrix TreeHead::scores_of(const at::Tensor& scores, const Part& part) const {
  const auto columns = padded(part.columns);
  return {scores.data_ptr(), scores.scalar_type(), padded(part.rows), columns, columns};
}

void TreeHead::attend(const Part& part) {
  const auto rows = padded(part.rows);
  const auto columns = padded(part.columns);
  gemm(as_matrix(queries_).row_range(part.row, rows),
       as_matrix(keys_).row_range(part.first, columns).transposed(), scores_of(scores_, part));
  softmax_tile({.scores = floats(scores_),
                .weights = values(weights_),
                .stride = static_cast<size_t>(columns),
                .rows = static_cast<size_t>(part.rows),
                .columns = static_cast<size_t>(part.columns),
                .visible = static_cast<size_t>(part.row - part.first + 1),
                .scale = scale_},
               {.max = floats(max_) + part.row,
                .sum = floats(sum_) + part.row,
                .results = floats(results_) + part.row * in_.width(),
                .width = static_cast<size_t>(in_.width()),
                .first = part.is_root});
  // Padding must weigh nothing: its rows and columns belong to other tokens.
  const auto bytes = weights_.element_size();
  auto* const weights = static_cast<char*>(weights_.data_ptr());
  const auto clear = [&](int64_t row, int64_t first) {
    std::memset(weights + (row * columns + first) * static_cast<int64_t>(bytes), 0,
                static_cast<size_t>(columns - first) * bytes);
  };
  for (int64_t row = 0; row < rows; ++row) {
    clear(row, row < part.rows ? part.columns : 0);
  }
  gemm(scores_of(weights_, part), as_matrix(values_).row_range(part.first, columns),
       as_matrix(results_).row_range(part.row, rows), /*accumulate=*/true);
}

void TreeHead::visit_chain(const TokenTree::Chain& chain, bool is_root) {
  for (int64_t row = chain.first; row < chain.end; row += kScoreTileRows) {
    const auto rows = std::min(kScoreTileRows, chain.end - row);
    // Tiles start at multiples of their rows behind the chain's first: none is above a block.
    for (int64_t block = 0; block < chain.tokens && chain.first + block <= row;
         block += kScoreBlockColumns) {
      attend({.first = chain.first + block,
              .columns = std::min(kScoreBlockColumns, chain.tokens - block),
              .row = row,
              .rows = rows,
              .is_root = is_root && block == 0});
    }
  }
}

void TreeHead::forward(int64_t head, const at::Tensor& out) {
  load(head);
  for (const auto& chain : tree_.chains()) {
    visit_chain(chain, tree_.depths()[static_cast<size_t>(chain.first)] == 0);
  }
  const auto columns = out.narrow(-1, head * in_.width(), in_.width());
  finish_softmax({.max = floats(max_),
                  .sum = floats(sum_),
                  .results = floats(results_),
                  .width = static_cast<size_t>(in_.width())},
                 static_cast<size_t>(in_.tokens()), scale_, {columns.data_ptr(), is_bf16_},
                 static_cast<size_t>(out.size(-1)), floats(log_sums_));
}

}  // namespace

at::Tensor cpu::tree_attention(const at::Tensor& qkv, const AttentionHeads& heads,
                               const RotaryTable& angles, const HeadNorm& norm,
                               const TokenTree& tree) {
  const ProfiledOp op("loopbank::tree_attention");
  const at::NoGradGuard no_grad;
  const TreeInputs in{.qkv = dense(qkv),
                      .heads = heads,
                      .cosines = dense(angles.cosines),
                      .sines = dense(angles.sines),
                      .query_weight = dense(norm.query_weight),
                      .key_weight = dense(norm.key_weight),
                      .eps = norm.eps};
  auto out = at::empty({1, in.tokens(), heads.query * in.width()}, qkv.options());  // [1, T, H d]
  // Two places at least: a single one would run outside a parallel region, where each of its many
  // small products wakes all threads.
  at::parallel_for(0, std::max<int64_t>(2, heads.query), /*grain_size=*/1,
                   [&](int64_t first, int64_t last) {
                     const at::NoGradGuard no_grad_here;
                     last = std::min(last, heads.query);
                     if (first < last) {
                       TreeHead head(in, tree);
                       for (; first < last; ++first) {
                         head.forward(first, out);
                       }
                     }
                   });
  return out;
}

}  // namespace loopbank::ops
