#pragma once
/// One forward pass as its layers see it: the number types, the loop budget, the angles of its
/// positions, the opened global bank, what its tokens attend over, who records it. It does not
/// change while the layers run; the layer and loop being computed are a `Place`.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "loopbank/model/forward_options.h"
#include "loopbank/ops/memory_read.h"
#include "loopbank/ops/rotary.h"

namespace loopbank {

/// A memory bank ready to be read: keys normed, both in the compute type.
struct OpenBank {
  at::Tensor keys;    ///< [M, D]
  at::Tensor values;  ///< [M, D]
  std::shared_ptr<const ops::PreparedBank> prepared =
      {};                  ///< both, where passes of inference share
  bool projected = false;  ///< the values are V W^T, and a read gives W m

  ///     m = softmax(q K^T / sqrt D) V
  ///
  /// @param q  [B, T, D] in the compute type
  [[nodiscard]] at::Tensor read(const at::Tensor& q) const;
};

/// The banks that a layer reads.
struct OpenBanks {
  OpenBank local;
  OpenBank global;
};

class Pass {
 public:
  /// @throws Error kDtype for a compute type other than fp32, bf16 and fp64
  explicit Pass(const ForwardOptions& options);

  /// The type of matrix products.
  [[nodiscard]] at::ScalarType compute_dtype() const { return options_.compute_dtype; }
  /// The type of the hidden state, norms, softmax and router: fp32, or fp64 for fp64 compute.
  [[nodiscard]] at::ScalarType state_dtype() const { return state_dtype_; }

  /// Loops that a layer trained with N loops runs in this pass.
  [[nodiscard]] int64_t loops(int64_t trained_loops) const;

  /// Whether the layers read their banks, if they have any.
  [[nodiscard]] bool reads_memory() const { return options_.reads_memory; }

  /// Whether this part is to be computed again in the backward pass.
  [[nodiscard]] bool recomputes(Recompute part) const;
  /// The same pass with another opened global bank, keeping everything for the backward pass: what
  /// a part that is computed again runs in.
  [[nodiscard]] Pass keeping_all(OpenBank global_bank) const;

  /// Null where there is none.
  [[nodiscard]] InferenceContext* context() const { return options_.context; }
  [[nodiscard]] PreparedModel* prepared() const { return options_.prepared; }
  /// Null where nothing is recorded.
  [[nodiscard]] Recorder* recorder() const { return options_.recorder; }

  ops::RotaryTable angles;  ///< of the pass's T positions
  OpenBank global_bank;     ///< undefined tensors where the model has none
  /// Logits [r, V] of states [r, D] as if they were those of the last layer: the final norm and the
  /// head. Empty where no exit rule of the pass reads them.
  std::function<at::Tensor(const at::Tensor& y, const Pass& pass)> read_out = {};

 private:
  ForwardOptions options_;
  at::ScalarType state_dtype_;
};

}  // namespace loopbank
