#pragma once
/// What an autograd function keeps for its backward pass besides tensors: any value, in saved_data.

#include <ATen/core/Tensor.h>

#include <memory>
#include <utility>

namespace c10 {
struct IValue;
}

namespace loopbank::ops {

[[nodiscard]] c10::IValue keep_shared(std::shared_ptr<void> value);
[[nodiscard]] std::shared_ptr<void> shared_kept(const c10::IValue& saved);

/// For `context->saved_data[name]`: an IValue.
template <typename T>
[[nodiscard]] auto keep(T value) {
  return keep_shared(std::make_shared<T>(std::move(value)));
}

/// The value that keep<T> stored.
template <typename T>
[[nodiscard]] T kept(const c10::IValue& saved) {
  return *std::static_pointer_cast<T>(shared_kept(saved));
}

}  // namespace loopbank::ops
