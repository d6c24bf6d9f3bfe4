#pragma once
/// One forward pass while it runs: the number types, the weights in the compute type, the angles of
/// its positions, the opened global bank, and where the pass stands (layer and loop).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "loopbank/model/context.h"
#include "loopbank/ops/linear.h"
#include "loopbank/ops/rotary.h"

namespace loopbank {

/// A memory bank ready to be read: keys normed, both in the compute type.
struct OpenBank {
  at::Tensor keys;    ///< [M, D]
  at::Tensor values;  ///< [M, D]
};

class Pass {
 public:
  /// @throws Error kDtype for a compute type other than fp32, bf16 and fp64
  explicit Pass(const ForwardOptions& options);
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  /// The type of matrix products.
  [[nodiscard]] at::ScalarType compute_dtype() const { return options_.compute_dtype; }
  /// The type of the hidden state, norms, softmax and router: fp32, or fp64 for fp64 compute.
  [[nodiscard]] at::ScalarType state_dtype() const { return state_dtype_; }

  /// A parameter in the compute type, cast once a pass however many loops read it.
  const at::Tensor& weight(const at::Tensor& master);

  /// The weights of linear layers that read one input, prepared for its products once a pass,
  /// however many loops read them; `masters` differ between calls in their first.
  const std::shared_ptr<ops::LinearWeights>& linear_weights(const std::vector<at::Tensor>& masters);

  /// Loops that a layer trained with N loops runs in this pass.
  [[nodiscard]] int64_t loops(int64_t trained_loops) const;

  /// Another pass of the same options over the same positions, with nothing prepared: what is
  /// computed again starts from one. It computes nothing again itself.
  [[nodiscard]] std::shared_ptr<Pass> fork() const;

  /// Whether this part is to be computed again in the backward pass.
  [[nodiscard]] bool recomputes(Recompute part) const;

  /// The pass stands in loop `loop` (from 1) of a layer (from 0), out of the one before.
  void enter(int64_t layer, int64_t loop);

  /// Frees what was prepared for the products of the layer where the pass stood.
  void leave();

  [[nodiscard]] bool has_cache() const { return options_.cache != nullptr; }
  /// The tree that the tokens stand in; null for a row.
  [[nodiscard]] const ops::TokenTree* tree() const { return options_.tree; }

  /// Keys and values of all tokens so far: those given, behind the cached ones where there is a
  /// cache. [B, H_kv, T, d] to [B, H_kv, S, d]
  std::pair<at::Tensor, at::Tensor> remember(const at::Tensor& keys, const at::Tensor& values);

  [[nodiscard]] Recorder* recorder() const { return options_.recorder; }
  /// Shows a read of a bank to the recorder, where there is one that asks for it.
  /// @param query, gate  [B, T, D]
  void record_read(bool global, const at::Tensor& query, const OpenBank& bank,
                   const at::Tensor& gate) const;

  ops::RotaryTable angles;  ///< of the pass's T positions
  OpenBank global_bank;     ///< undefined tensors where the model has none

 private:
  ForwardOptions options_;
  at::ScalarType state_dtype_;
  int64_t layer_ = 0;
  int64_t loop_ = 1;
  std::unordered_map<const void*, at::Tensor> cast_weights_;
  std::unordered_map<const void*, std::shared_ptr<ops::LinearWeights>> linear_weights_;
};

}  // namespace loopbank
