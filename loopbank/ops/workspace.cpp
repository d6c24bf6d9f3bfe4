#include "loopbank/ops/workspace.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <bit>
#include <utility>

namespace loopbank::ops {
namespace {

thread_local Workspace* current = nullptr;

/// Whether nobody else holds the tensor or its memory.
bool is_free(const at::Tensor& x) {
  return x.use_count() == 1 && x.storage().use_count() == 1;
}

/// Memory of no size.
const at::Tensor& nothing() {
  static const auto empty = at::empty({0}, at::kFloat);
  return empty;
}

}  // namespace

at::Tensor Workspace::tensor(at::IntArrayRef sizes, at::ScalarType type) {
  const auto is_kept = type == at::kFloat || type == at::kBFloat16;
  const size_t value_bytes = type == at::kBFloat16 ? 2 : 4;
  const auto bytes = static_cast<size_t>(c10::multiply_integers(sizes)) * value_bytes;
  if (!is_kept || bytes == 0 || bytes > (size_t{1} << kLargestBits)) {
    return at::empty(sizes, type);
  }
  const auto bits = std::max<size_t>(std::bit_width(bytes - 1), kSmallestBits);
  auto& shelf = shelves_[type == at::kBFloat16 ? 1 : 0][bits - kSmallestBits];
  auto& tensors = shelf.tensors;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto at = std::exchange(shelf.next, shelf.next + 1 < tensors.size() ? shelf.next + 1 : 0);
    if (is_free(tensors[at])) {
      tensors[at].unsafeGetTensorImpl()->set_sizes_contiguous(sizes);
      return tensors[at];
    }
  }
  const auto whole = static_cast<int64_t>((size_t{1} << bits) / value_bytes);
  tensors.push_back(at::empty({whole}, type));
  tensors.back().unsafeGetTensorImpl()->set_sizes_contiguous(sizes);
  return tensors.back();
}

at::Tensor Workspace::view(const at::Tensor& x, at::IntArrayRef sizes, at::IntArrayRef strides,
                           int64_t offset) {
  if (x.scalar_type() != at::kFloat && x.scalar_type() != at::kBFloat16) {
    return x.as_strided(sizes, strides, offset);
  }
  auto& views = views_[x.scalar_type() == at::kBFloat16 ? 1 : 0];
  at::Tensor found;
  for (auto& view : views) {
    if (view.use_count() == 1) {
      // What a dropped view looked at is free again.
      view.unsafeGetTensorImpl()->set_storage_keep_dtype(
          found.defined() ? nothing().storage() : x.storage());
      found = found.defined() ? found : view;
    }
  }
  if (!found.defined()) {
    found = views.emplace_back(at::detail::make_tensor<c10::TensorImpl>(
        c10::Storage(x.storage()), c10::DispatchKeySet(c10::DispatchKey::CPU), x.dtype()));
  }
  found.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides, offset);
  return found;
}

size_t Workspace::num_tensors() const {
  size_t count = 0;
  for (const auto& shelves : shelves_) {
    for (const auto& shelf : shelves) {
      count += shelf.tensors.size();
    }
  }
  return count;
}

WorkspaceScope::WorkspaceScope(Workspace& workspace)
    : before_(std::exchange(current, &workspace)) {}

WorkspaceScope::~WorkspaceScope() {
  current = before_;
}

at::Tensor new_tensor(at::IntArrayRef sizes, at::ScalarType type) {
  return current != nullptr ? current->tensor(sizes, type) : at::empty(sizes, type);
}

at::Tensor reshaped(const at::Tensor& x, at::IntArrayRef sizes) {
  if (current == nullptr || !x.is_contiguous() || sizes.empty()) {
    return x.view(sizes);
  }
  c10::DimVector strides(sizes.size(), 1);
  for (size_t i = sizes.size() - 1; i > 0; --i) {
    strides[i - 1] = strides[i] * sizes[i];
  }
  return current->view(x, sizes, strides, x.storage_offset());
}

at::Tensor strided(const at::Tensor& x, at::IntArrayRef sizes, at::IntArrayRef strides,
                   int64_t offset) {
  const auto from = x.storage_offset() + offset;
  return current != nullptr ? current->view(x, sizes, strides, from)
                            : x.as_strided(sizes, strides, from);
}

at::Tensor in_type(const at::Tensor& x, at::ScalarType type) {
  return x.scalar_type() == type ? x : x.to(type);
}

}  // namespace loopbank::ops
