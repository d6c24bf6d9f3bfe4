/// A read of a memory bank, a block of queries at a time, on the CPU.

#include "loopbank/ops/cpu/fused.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cpu/elementwise_rows.h"
#include "loopbank/ops/gemm.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/row_softmax_kernels.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {
namespace {

// Scores of one block of queries in fp32: they and what becomes of them stay in the caches. Every
// product runs on all threads: blocks of 64 queries, one a thread, would leave the gradients of
// keys and values to be summed in one copy a thread.
constexpr int64_t kScoresPerBlock = int64_t{1} << 19U;
constexpr int64_t kFewestRowsPerBlock = 64;

/// A tensor's values, or none for an undefined one.
Matrix matrix_or_none(const at::Tensor& x) {
  return x.defined() ? as_matrix(x) : Matrix();
}

/// Queries, keys and values of one read, and the buffers of a block of queries.
class Read {
 public:
  /// @param kept  [rows, M] weights, written forward and read backward; or undefined
  Read(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values,
       const at::Tensor& kept);

  /// out [rows, D] = softmax(q K^T / sqrt D) V.
  void forward(const Matrix& out);

  /// Gradients in the compute dtype, fp32 for keys and values; those without data are not wanted.
  struct Gradients {
    Matrix query;   // [rows, D]
    Matrix keys;    // [M, D]
    Matrix values;  // [M, D]
  };
  void backward(const Matrix& out_gradient, const Gradients& gradients);

 private:
  /// Some rows of the queries.
  struct Block {
    int64_t first = 0;
    int64_t rows = 0;
  };

  [[nodiscard]] int64_t slots() const { return keys_.rows; }
  [[nodiscard]] float scale() const {
    return static_cast<float>(1.0 / std::sqrt(static_cast<double>(keys_.columns)));
  }
  /// The buffer itself for fp32, another one for bf16.
  [[nodiscard]] at::Tensor in_compute_dtype(const at::Tensor& buffer) const;
  /// Where the weights of a block are.
  [[nodiscard]] Matrix weights_of(Block block) const;
  /// Scores and weights of a block from the queries.
  void compute_weights(Block block);

  template <typename Visit>
  void for_blocks(const Visit& visit) const {
    for (int64_t first = 0; first < query_.rows; first += rows_per_block_) {
      visit(Block{first, std::min(rows_per_block_, query_.rows - first)});
    }
  }

  Matrix query_;   // [B T, D]
  Matrix keys_;    // [M, D]
  Matrix values_;  // [M, D]
  Matrix kept_;    // [B T, M]
  int64_t rows_per_block_ = 0;
  at::Tensor scores_;   // [block rows, M] fp32
  at::Tensor weights_;  // [block rows, M]
};

Read::Read(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values,
           const at::Tensor& kept)
    : query_(as_matrix(query)),
      keys_(as_matrix(keys)),
      values_(as_matrix(values)),
      kept_(matrix_or_none(kept)) {
  const auto fitting = std::max(kFewestRowsPerBlock, kScoresPerBlock / slots());
  rows_per_block_ = equal_parts(query_.rows, fitting);
  scores_ = at::empty({rows_per_block_, slots()}, at::kFloat);
  weights_ = kept.defined() ? at::Tensor() : in_compute_dtype(scores_);
}

at::Tensor Read::in_compute_dtype(const at::Tensor& buffer) const {
  return query_.dtype == at::kFloat
             ? buffer
             : at::empty(buffer.sizes(), buffer.options().dtype(query_.dtype));
}

Matrix Read::weights_of(Block block) const {
  return kept_.data != nullptr ? kept_.row_range(block.first, block.rows)
                               : as_matrix(weights_).row_range(0, block.rows);
}

void Read::compute_weights(Block block) {
  gemm(query_.row_range(block.first, block.rows), keys_.transposed(),
       as_matrix(scores_).row_range(0, block.rows));
  const ReadScores read{.scores = floats(scores_),
                        .weights = {weights_of(block).data, query_.dtype == at::kBFloat16},
                        .slots = static_cast<size_t>(slots()),
                        .scale = scale()};
  for_row_ranges(block.rows, slots(),
                 [&](size_t first, size_t last) { read_weights(read, first, last); });
}

void Read::forward(const Matrix& out) {
  for_blocks([&](Block block) {
    compute_weights(block);
    gemm(weights_of(block), values_, out.row_range(block.first, block.rows));
  });
}

void Read::backward(const Matrix& out_gradient, const Gradients& gradients) {
  const auto weight_gradient = at::empty({rows_per_block_, slots()}, at::kFloat);
  const auto score_gradient = in_compute_dtype(weight_gradient);  // [block rows, M]
  for_blocks([&](Block block) {
    const auto [first, rows] = block;
    if (kept_.data == nullptr) {
      compute_weights(block);
    }
    const auto weights = weights_of(block);
    const auto gradient = out_gradient.row_range(first, rows);
    if (gradients.values.data != nullptr) {
      gemm(weights.transposed(), gradient, gradients.values, first > 0);
    }
    if (gradients.query.data == nullptr && gradients.keys.data == nullptr) {
      return;
    }
    gemm(gradient, values_.transposed(), as_matrix(weight_gradient).row_range(0, rows));
    const ReadGradients read{.weights = {weights.data, weights.dtype == at::kBFloat16},
                             .weight_gradient = floats(weight_gradient),
                             .score_gradient = ops::values(score_gradient),
                             .slots = static_cast<size_t>(slots()),
                             .scale = scale()};
    for_row_ranges(rows, slots(),
                   [&](size_t from, size_t to) { read_score_gradient(read, from, to); });
    const auto score_gradient_rows = as_matrix(score_gradient).row_range(0, rows);
    if (gradients.query.data != nullptr) {
      gemm(score_gradient_rows, keys_, gradients.query.row_range(first, rows));
    }
    if (gradients.keys.data != nullptr) {
      gemm(score_gradient_rows.transposed(), query_.row_range(first, rows), gradients.keys,
           first > 0);
    }
  });
}

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class MemoryRead : public torch::autograd::Function<MemoryRead> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& query, const at::Tensor& keys,
                            const at::Tensor& values, bool differentiable) {
    const auto dense_query = dense(query);    // [B, T, D]
    const auto dense_keys = dense(keys);      // [M, D]
    const auto dense_values = dense(values);  // [M, D]
    at::Tensor kept;
    if (differentiable && cpu::keeps_read_weights(keys.size(0), keys.size(1))) {
      kept =
          at::empty({query.numel() / query.size(-1), keys.size(0)}, query.options());  // [B T, M]
    }
    const auto out = at::empty_like(dense_query);
    Read(dense_query, dense_keys, dense_values, kept).forward(as_matrix(out));
    ctx->save_for_backward({dense_query, dense_keys, dense_values, kept});
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto dtype = saved[0].scalar_type();
    const auto wanted = [&](size_t input, at::ScalarType sums) {
      return ctx->needs_input_grad(input)
                 ? at::empty(saved[input].sizes(), saved[input].options().dtype(sums))
                 : at::Tensor();
    };
    const auto rounded = [&](const at::Tensor& sums) {
      return sums.defined() ? sums.to(dtype) : sums;
    };
    const auto query_gradient = wanted(0, dtype);        // [B, T, D]
    const auto keys_gradient = wanted(1, at::kFloat);    // [M, D]
    const auto values_gradient = wanted(2, at::kFloat);  // [M, D]
    const auto out_gradient = dense(gradients[0]);       // [B, T, D]
    Read(saved[0], saved[1], saved[2], saved[3])
        .backward(as_matrix(out_gradient), {.query = matrix_or_none(query_gradient),
                                            .keys = matrix_or_none(keys_gradient),
                                            .values = matrix_or_none(values_gradient)});
    return {query_gradient, rounded(keys_gradient), rounded(values_gradient), at::Tensor()};
  }
};

}  // namespace

at::Tensor cpu::memory_read(const at::Tensor& query, const at::Tensor& keys,
                            const at::Tensor& values) {
  const ProfiledOp op("loopbank::memory_read");
  const bool differentiable =
      at::GradMode::is_enabled() &&
      (query.requires_grad() || keys.requires_grad() || values.requires_grad());
  return MemoryRead::apply(query, keys, values, differentiable);
}

}  // namespace loopbank::ops
