/// The loss of the head and its gradients in one go over the rows, on the CPU.

#include "loopbank/ops/cpu/fused.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scalar_tensor.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "loopbank/ops/autograd_function.h"
#include "loopbank/ops/cast.h"
#include "loopbank/ops/cpu/elementwise_rows.h"
#include "loopbank/ops/gemm.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/row_softmax_kernels.h"
#include "loopbank/support/error.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {
namespace {

// A product over this many tokens at a time finds logits, weights and their gradient in the cache:
// over all 50304 at once the three products run 3 to 10 % slower. Rows follow each other without a
// gap, since oneDNN takes its tile kernels (AMX) for dense matrices alone: 1380 against 2190
// GFLOP/s. 32 tokens more than 1024 keep the same place of neighbouring rows out of the same cache
// set.
constexpr int64_t kTokensPerBlock = 1024 + 32;
// Logits of one chunk of rows. The gradient of the weight is read and written once a chunk.
constexpr int64_t kLogitBytes = int64_t{64} << 20U;
constexpr int64_t kMostRowsPerChunk = 2048;
constexpr int64_t kLogitAlignment = 64;  // of logits, in bytes

/// Which gradients are wanted.
struct Wanted {
  bool states = false;
  bool weight = false;
  [[nodiscard]] bool any() const { return states || weight; }
};

struct LossAndGradients {
  at::Tensor loss;             // scalar fp32
  at::Tensor states_gradient;  // [R, D] in the dtype of states
  at::Tensor weight_gradient;  // [V, D] in the dtype of weight
};

/// One call: chunks of rows, and in each of them blocks of the vocabulary.
class Head {
 public:
  Head(const at::Tensor& states, const at::Tensor& weight, const at::Tensor& targets,
       int64_t ignore, Wanted wanted);

  LossAndGradients compute();

 private:
  /// A block of the vocabulary for a chunk of rows.
  struct Block {
    int64_t first = 0;  // token
    int64_t tokens = 0;
    at::Tensor logits;  // [chunk rows, tokens]
  };

  void make_room_for_logits();
  [[nodiscard]] Block block(int64_t first, int64_t rows) const;
  [[nodiscard]] LogitBlock values_of(const Block& block) const;
  /// [tokens, D] in the compute dtype, until the next call.
  Matrix weight_of(const Block& block);
  /// -log softmax of the counted rows, summed.
  double add_chunk_losses(int64_t first, int64_t rows);
  void add_chunk_gradients(int64_t first, int64_t rows);

  at::Tensor states_;   // [R, D]
  at::Tensor weight_;   // [V, D]
  at::Tensor targets_;  // [R]
  int64_t ignore_;
  Wanted wanted_;
  int64_t count_;  // of the targets that are not ignored, at least 1
  int64_t tokens_per_block_;
  int64_t rows_per_chunk_;
  std::vector<RowLoss> losses_;  // of a chunk

  at::Tensor logits_;           // of a chunk, block after block; of one block without gradients
  at::Tensor weight_block_;     // [tokens, D], where the weight is not in the compute dtype
  at::Tensor states_sums_;      // [chunk rows, D] fp32
  at::Tensor states_gradient_;  // [R, D]
  at::Tensor weight_gradient_;  // [V, D] fp32
};

bool fit_in_gradient(int64_t rows, int64_t width, int64_t bytes_each) {
  return rows * bytes_each + kLogitAlignment <= static_cast<int64_t>(sizeof(float)) * width;
}

/// Chunks of about the same size, none with a few rows left over.
int64_t rows_of_chunk(int64_t rows, int64_t vocabulary, int64_t bytes_each) {
  const auto most = std::clamp<int64_t>(kLogitBytes / (vocabulary * bytes_each), 1,
                                        std::min(rows, kMostRowsPerChunk));
  return equal_parts(rows, most);
}

bool overlap(const at::Tensor& a, const at::Tensor& b) {
  const auto begin = [](const at::Tensor& x) { return static_cast<const char*>(x.data_ptr()); };
  return begin(a) < begin(b) + b.nbytes() && begin(b) < begin(a) + a.nbytes();
}

Head::Head(const at::Tensor& states, const at::Tensor& weight, const at::Tensor& targets,
           int64_t ignore, Wanted wanted)
    : states_(dense(states)),
      weight_(dense(weight)),
      targets_(targets.contiguous()),
      ignore_(ignore),
      wanted_(wanted),
      count_(std::max<int64_t>(1, targets.ne(ignore).sum().item<int64_t>())),
      tokens_per_block_(std::min(kTokensPerBlock, weight.size(0))) {
  const auto width = states.size(1);
  if (wanted.weight) {
    weight_gradient_ = at::empty(weight.sizes(), at::kFloat);
  }
  make_room_for_logits();
  losses_.resize(static_cast<size_t>(rows_per_chunk_));
  if (weight.scalar_type() != states.scalar_type()) {
    weight_block_ = at::empty({tokens_per_block_, width}, states_.options());
  }
  if (wanted.states) {
    states_gradient_ = at::empty_like(states_);
    states_sums_ = at::empty({rows_per_chunk_, width}, at::kFloat);
  }
}

/// Where the logits of all rows take less memory than the gradient of the weight, they lie at the
/// end of it: it is written block of tokens after block of tokens, when nothing else needs the
/// logits of a block any more. Of its 4 D V bytes the first w tokens take 4 D w, the logits of the
/// others the last r (V - w), and with r < 4 D these begin behind those.
void Head::make_room_for_logits() {
  const auto rows = states_.size(0);
  const auto vocabulary = weight_.size(0);
  const auto bytes = static_cast<int64_t>(states_.element_size());
  if (wanted_.weight && fit_in_gradient(rows, states_.size(1), bytes)) {
    rows_per_chunk_ = rows;
    const auto gradient = weight_gradient_.view({-1}).view(states_.scalar_type());
    const auto place = gradient.numel() - rows * vocabulary;
    logits_ = gradient.slice(0, place - place % (kLogitAlignment / bytes));
    return;
  }
  rows_per_chunk_ = rows_of_chunk(rows, vocabulary, bytes);
  const auto tokens = wanted_.any() ? vocabulary : tokens_per_block_;
  logits_ = at::empty({rows_per_chunk_ * tokens}, states_.options());
}

Head::Block Head::block(int64_t first, int64_t rows) const {
  const auto tokens = std::min(tokens_per_block_, weight_.size(0) - first);
  const auto place = wanted_.any() ? first * rows_per_chunk_ : 0;
  return {first, tokens, logits_.narrow(0, place, rows * tokens).view({rows, tokens})};
}

LogitBlock Head::values_of(const Block& block) const {
  return {.logits = values(block.logits),
          .stride = static_cast<size_t>(block.tokens),
          .columns = static_cast<size_t>(block.tokens),
          .first_token = block.first};
}

Matrix Head::weight_of(const Block& block) {
  const auto rows = weight_.narrow(0, block.first, block.tokens);  // [tokens, D]
  if (!weight_block_.defined()) {
    return as_matrix(rows);
  }
  const auto copy = weight_block_.narrow(0, 0, block.tokens);  // [tokens, D]
  copy_into(copy, rows);
  return as_matrix(copy);
}

double Head::add_chunk_losses(int64_t first, int64_t rows) {
  std::fill(losses_.begin(), losses_.end(), RowLoss{});
  const auto* const targets = targets_.data_ptr<int64_t>() + first;
  const auto states = as_matrix(states_).row_range(first, rows);
  for (int64_t token = 0; token < weight_.size(0); token += tokens_per_block_) {
    const auto part = block(token, rows);
    gemm(states, weight_of(part).transposed(), as_matrix(part.logits));
    const auto logits = values_of(part);
    for_row_ranges(rows, part.tokens, [&](size_t from, size_t to) {
      add_block_to_losses(logits, targets, losses_.data(), from, to);
    });
  }
  double sum = 0.0;
  for (int64_t row = 0; row < rows; ++row) {
    if (targets[row] != ignore_) {
      const auto& loss = losses_[static_cast<size_t>(row)];
      sum += std::log(static_cast<double>(loss.sum)) +
             (static_cast<double>(loss.max) - loss.target_logit);
    }
  }
  return sum;
}

void Head::add_chunk_gradients(int64_t first, int64_t rows) {
  const auto* const targets = targets_.data_ptr<int64_t>() + first;
  const auto states = as_matrix(states_).row_range(first, rows);
  const auto weight_of_row = 1.0F / static_cast<float>(count_);
  for (int64_t token = 0; token < weight_.size(0); token += tokens_per_block_) {
    const auto part = block(token, rows);
    const auto logits = values_of(part);
    for_row_ranges(rows, part.tokens, [&](size_t from, size_t to) {
      cross_entropy_gradient(logits, targets, ignore_, weight_of_row, losses_.data(), from, to);
    });
    if (wanted_.states) {
      gemm(as_matrix(part.logits), weight_of(part), as_matrix(states_sums_).row_range(0, rows),
           token > 0);
    }
    if (wanted_.weight) {
      const auto gradient = weight_gradient_.narrow(0, token, part.tokens);
      const auto gradients = overlap(part.logits, gradient) ? part.logits.clone() : part.logits;
      gemm(as_matrix(gradients).transposed(), states, as_matrix(gradient), first > 0);
    }
  }
  if (wanted_.states) {
    copy_into(states_gradient_.narrow(0, first, rows), states_sums_.narrow(0, 0, rows));
  }
}

LossAndGradients Head::compute() {
  double sum = 0.0;
  for (int64_t first = 0; first < states_.size(0); first += rows_per_chunk_) {
    const auto rows = std::min(rows_per_chunk_, states_.size(0) - first);
    sum += add_chunk_losses(first, rows);
    if (wanted_.any()) {
      add_chunk_gradients(first, rows);
    }
  }
  return {.loss = at::scalar_tensor(sum / static_cast<double>(count_), at::kFloat),
          .states_gradient = states_gradient_,
          .weight_gradient =
              wanted_.weight ? weight_gradient_.to(weight_.scalar_type()) : at::Tensor()};
}

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class LinearCrossEntropy : public torch::autograd::Function<LinearCrossEntropy> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& states,
                            const at::Tensor& weight, const at::Tensor& targets, int64_t ignore,
                            Wanted wanted) {
    auto result = Head(states, weight, targets, ignore, wanted).compute();
    // Not save_for_backward: backward takes the gradients out and scales them where they are.
    ctx->saved_data[kStates] = std::move(result.states_gradient);
    ctx->saved_data[kWeight] = std::move(result.weight_gradient);
    return result.loss;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    if (ctx->saved_data.empty()) {
      fail(ErrorCode::kConfig,
           "linear_cross_entropy: expected one backward pass, got a second one. Compute the loss "
           "again for it.");
    }
    const auto scale = gradients[0].item<float>();
    const auto take = [&](const char* name) {
      auto gradient = std::move(ctx->saved_data[name]).toTensor();
      return gradient.defined() && scale != 1.0F ? gradient.mul_(scale) : gradient;
    };
    auto states_gradient = take(kStates);
    auto weight_gradient = take(kWeight);
    ctx->saved_data.clear();
    return {states_gradient, weight_gradient, at::Tensor(), at::Tensor(), at::Tensor()};
  }

 private:
  static constexpr auto kStates = "states_gradient";
  static constexpr auto kWeight = "weight_gradient";
};

}  // namespace

int64_t cpu::logit_rows_at_once(int64_t rows, int64_t vocabulary, int64_t width,
                                int64_t bytes_each) {
  return fit_in_gradient(rows, width, bytes_each) ? 0 : rows_of_chunk(rows, vocabulary, bytes_each);
}

at::Tensor cpu::linear_cross_entropy(const at::Tensor& states, const at::Tensor& weight,
                                     const at::Tensor& targets, int64_t ignore) {
  const ProfiledOp op("loopbank::linear_cross_entropy");
  const bool differentiable = at::GradMode::is_enabled();
  const Wanted wanted{.states = differentiable && states.requires_grad(),
                      .weight = differentiable && weight.requires_grad()};
  if (!wanted.any()) {
    const at::NoGradGuard no_grad;
    return Head(states, weight, targets, ignore, wanted).compute().loss;
  }
  return LinearCrossEntropy::apply(states, weight, targets, ignore, wanted);
}

}  // namespace loopbank::ops
