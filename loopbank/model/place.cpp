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
    prepared = std::make_shared<ops::LinearWeights>(masters, compute_);
  }
  return prepared;
}

const OpenBank& LayerWeights::opened(const std::function<OpenBank()>& open) {
  if (!bank_) {
    bank_ = open();
  }
  return *bank_;
}

}  // namespace loopbank
