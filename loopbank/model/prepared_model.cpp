#include "loopbank/model/prepared_model.h"

namespace loopbank {

PreparedModel::PreparedModel(const ModelConfig& config, at::ScalarType compute) {
  for (int64_t l = 0; l <= config.num_hidden_layers; ++l) {
    layers_.push_back(
        std::make_unique<LayerWeights>(compute, /*stay=*/true, config.quantization_bits));
  }
}

}  // namespace loopbank
