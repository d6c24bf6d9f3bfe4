#pragma once
/// What passes of inference have in common: the weights of a model as they read them, cast, joined
/// and laid out once, the keys of memory banks normed, rotary angles, and the memory that a pass
/// computes in. For one pass at a time.

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <vector>

#include "loopbank/model/config.h"
#include "loopbank/model/place.h"
#include "loopbank/ops/workspace.h"

namespace loopbank {

class EarlyExit;

class PreparedModel {
 public:
  /// Holds nothing yet: each weight is prepared when a pass first reads it.
  /// @param bits  of the weights in products: 8 or 4, quantized as in ops/quantization.h, of which a
  ///              model that was stored so has the very codes; 0: those of the config
  /// @throws Error kConfig for other bits
  /// @param parameters  of the model, which outlive this
  PreparedModel(const ModelConfig& config, const Parameters& parameters, at::ScalarType compute,
                int64_t bits = 0);
  PreparedModel(const PreparedModel&) = delete;
  PreparedModel& operator=(const PreparedModel&) = delete;
  ~PreparedModel();

  /// Of layer l, from 0.
  [[nodiscard]] LayerWeights& layer(int64_t l) { return *layers_[static_cast<size_t>(l)]; }
  /// Of the head; the global bank is opened here as well.
  [[nodiscard]] LayerWeights& shared() { return *layers_.back(); }

  /// Rotary angles of positions, rows of a table that grows to the largest.
  /// @param positions  [T], 0 or more, at least one
  [[nodiscard]] ops::RotaryTable angles(std::span<const int64_t> positions);

  /// What the results of a pass lie in.
  [[nodiscard]] ops::Workspace& workspace() { return workspace_; }
  /// The mix of its adaptive layers, one after another.
  [[nodiscard]] EarlyExit& early_exit() { return *early_exit_; }

 private:
  ops::RotaryFrequencies frequencies_;
  std::vector<std::unique_ptr<LayerWeights>> layers_;  // L + 1
  ops::RotaryTable angles_;                            // of positions from 0 on
  ops::Workspace workspace_;
  std::unique_ptr<EarlyExit> early_exit_;
};

}  // namespace loopbank
