#include "loopbank/model/place.h"

#include <ATen/core/Tensor.h>

namespace loopbank {
namespace {

ops::WeightFormat format_of(at::ScalarType compute) {
  return compute == at::kBFloat16 ? ops::WeightFormat::kBf16 : ops::WeightFormat::kFp32;
}

/// Of products; `bits` as in LayerWeights.
ops::WeightFormat product_format(at::ScalarType compute, int64_t bits) {
  return bits == 8   ? ops::WeightFormat::kInt8
         : bits == 4 ? ops::WeightFormat::kInt4
                     : format_of(compute);
}

}  // namespace

LayerWeights::~LayerWeights() {
  for (const auto& [masters, prepared] : by_masters_) {
    prepared->forget_forward();
  }
}

const std::shared_ptr<ops::LinearWeights>& LayerWeights::prepared(
    const std::vector<at::Tensor>& masters) {
  std::vector<const void*> key;
  for (const auto& master : masters) {
    key.push_back(master.unsafeGetTensorImpl());
  }
  auto& prepared = by_masters_[key];
  if (prepared == nullptr) {
    prepared = prepare(masters);
  }
  return prepared;
}

std::shared_ptr<ops::LinearWeights> LayerWeights::prepare(
    const std::vector<at::Tensor>& masters) const {
  if (!stay_prepared(masters.front())) {
    return std::make_shared<ops::LinearWeights>(masters, compute_);
  }
  return std::make_shared<ops::LinearWeights>(
      std::make_shared<ops::InferenceWeights>(masters,
                                              product_format(compute_, quantization_bits_)),
      compute_);
}

bool LayerWeights::stay_prepared(const at::Tensor& example) const {
  return stay_ && example.is_cpu() && compute_ != at::kDouble;
}

const OpenBank& LayerWeights::opened(const std::function<OpenBank()>& open) {
  if (!bank_) {
    bank_ = open();
    if (bank_->keys.defined() && stay_prepared(bank_->keys)) {
      bank_->prepared =
          std::make_shared<ops::PreparedBank>(bank_->keys, bank_->values, format_of(compute_));
    }
  }
  return *bank_;
}

}  // namespace loopbank
