#include "loopbank/ops/kept.h"

#include <ATen/core/ivalue.h>

namespace loopbank::ops {
namespace {

struct Holder : torch::CustomClassHolder {
  explicit Holder(std::shared_ptr<void> of) : value(std::move(of)) {}
  std::shared_ptr<void> value;
};

}  // namespace

c10::IValue keep_shared(std::shared_ptr<void> value) {
  return c10::IValue::make_capsule(c10::make_intrusive<Holder>(std::move(value)));
}

std::shared_ptr<void> shared_kept(const c10::IValue& saved) {
  return c10::static_intrusive_pointer_cast<Holder>(saved.toCapsule())->value;
}

}  // namespace loopbank::ops
