#include "loopbank/model/place.h"

#include <ATen/core/Tensor.h>

namespace loopbank {

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
  return std::make_shared<ops::LinearWeights>(lay_out(masters), compute_);
}

std::shared_ptr<ops::InferenceWeights> LayerWeights::lay_out(
    const std::vector<at::Tensor>& masters) const {
  const int64_t bits = *format_ == ops::WeightFormat::kInt8   ? 8
                       : *format_ == ops::WeightFormat::kInt4 ? 4
                                                              : 0;
  std::vector<ops::Quantized> stored;
  for (const auto& master : masters) {
    const auto* const codes = parameters_ != nullptr ? parameters_->codes_of(master, bits) : nullptr;
    if (codes == nullptr) {
      return std::make_shared<ops::InferenceWeights>(masters, *format_);
    }
    stored.push_back(*codes);
  }
  return std::make_shared<ops::InferenceWeights>(stored);
}

bool LayerWeights::stay_prepared(const at::Tensor& example) const {
  return format_ && example.is_cpu() && compute_ != at::kDouble;
}

const OpenBank& LayerWeights::opened(const std::function<OpenBank()>& open) {
  if (!bank_) {
    bank_ = open();
    if (bank_->keys.defined() && stay_prepared(bank_->keys)) {
      const auto format =
          compute_ == at::kBFloat16 ? ops::WeightFormat::kBf16 : ops::WeightFormat::kFp32;
      bank_->prepared = std::make_shared<ops::PreparedBank>(bank_->keys, bank_->values, format);
    }
  }
  return *bank_;
}

}  // namespace loopbank
