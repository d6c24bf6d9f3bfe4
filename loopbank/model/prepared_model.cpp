#include "loopbank/model/prepared_model.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <bit>

#include "loopbank/model/early_exit.h"
#include "loopbank/model/rope_scaling.h"
#include "loopbank/ops/rows.h"
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
                             at::ScalarType compute, int64_t bits)
    : frequencies_(rotary_frequencies(config, at::kCPU)),
      early_exit_(std::make_unique<EarlyExit>()) {
  const auto format = format_of(compute, bits != 0 ? bits : config.quantization_bits);
  for (int64_t l = 0; l <= config.num_hidden_layers; ++l) {
    layers_.push_back(std::make_unique<LayerWeights>(compute, format, &parameters));
  }
  for (size_t l = 0; l + 2 < layers_.size(); ++l) {  // the head is no layer
    layers_[l]->set_next(layers_[l + 1].get());
  }
}

PreparedModel::~PreparedModel() = default;

ops::RotaryTable PreparedModel::angles(std::span<const int64_t> positions) {
  constexpr int64_t kFewest = 256;
  const auto length = *std::max_element(positions.begin(), positions.end()) + 1;
  if (!angles_.cosines.defined() || angles_.cosines.size(0) < length) {
    const auto rows =
        std::max(kFewest, static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(length))));
    angles_ = ops::rotary_table(0, rows, frequencies_);
  }
  return {.cosines = ops::gather_rows(angles_.cosines, positions),
          .sines = ops::gather_rows(angles_.sines, positions)};
}

}  // namespace loopbank
