#include "loopbank/model/prepared_model.h"

namespace loopbank {

PreparedModel::PreparedModel(int64_t num_layers, at::ScalarType compute) {
  for (int64_t l = 0; l <= num_layers; ++l) {
    layers_.push_back(std::make_unique<LayerWeights>(compute, /*stay=*/true));
  }
}

}  // namespace loopbank
