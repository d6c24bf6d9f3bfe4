#pragma once
/// The weights of a model as passes of inference read them: cast, joined and laid out once, and the
/// keys of memory banks normed, however many passes there are.

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "loopbank/model/config.h"
#include "loopbank/model/place.h"

namespace loopbank {

class PreparedModel {
 public:
  /// Holds nothing yet: each weight is prepared when a pass first reads it.
  /// @param bits  of the weights in products: 8 or 4, quantized as in ops/quantization.h, of which a
  ///              model that was stored so has the very codes; 0: those of the config
  /// @throws Error kConfig for other bits
  /// @param parameters  of the model, which outlive this
  PreparedModel(const ModelConfig& config, const Parameters& parameters, at::ScalarType compute,
                int64_t bits = 0);

  /// Of layer l, from 0.
  [[nodiscard]] LayerWeights& layer(int64_t l) { return *layers_[static_cast<size_t>(l)]; }
  /// Of the head; the global bank is opened here as well.
  [[nodiscard]] LayerWeights& shared() { return *layers_.back(); }

 private:
  std::vector<std::unique_ptr<LayerWeights>> layers_;  // L + 1
};

}  // namespace loopbank
