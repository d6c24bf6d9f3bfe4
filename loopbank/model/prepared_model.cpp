#include "loopbank/model/prepared_model.h"

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

ops::WeightFormat format_of(at::ScalarType compute, int64_t bits) {
  switch (bits) {
    case 0:
      return compute == at::kBFloat16 ? ops::WeightFormat::kBf16 : ops::WeightFormat::kFp32;
    case 8:
      return ops::WeightFormat::kInt8;
    case 4:
      return ops::WeightFormat::kInt4;
    default:
      fail(ErrorCode::kConfig,
           "weights: expected 8 or 4 bits, or 0 for the type that is computed in, got {}.", bits);
  }
}

}  // namespace

PreparedModel::PreparedModel(const ModelConfig& config, const Parameters& parameters,
                             at::ScalarType compute, int64_t bits) {
  const auto format = format_of(compute, bits != 0 ? bits : config.quantization_bits);
  for (int64_t l = 0; l <= config.num_hidden_layers; ++l) {
    layers_.push_back(std::make_unique<LayerWeights>(compute, format, &parameters));
  }
}

}  // namespace loopbank
