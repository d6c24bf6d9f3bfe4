#include "loopbank/ops/workspace.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <c10/util/DimVector.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include "loopbank/ops/cast.h"

namespace loopbank::ops {
namespace {

thread_local Workspace* current = nullptr;

/// The place of a kept type.
std::optional<size_t> kept_type(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return 0;
    case at::kBFloat16:
      return 1;
    case at::kLong:
      return 2;
    default:
      return std::nullopt;
  }
}

/// Whether nobody else holds the tensor or its memory.
bool is_free(const at::Tensor& x) {
  return x.use_count() == 1 && x.storage().use_count() == 1;
}

/// Memory of no size.
const at::Tensor& nothing() {
  static const auto empty = at::empty({0}, at::kFloat);
  return empty;
}

bool is_dense_fp32(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous();
}

}  // namespace

at::Tensor Workspace::tensor(at::IntArrayRef sizes, at::ScalarType type) {
  const auto kept = kept_type(type);
  const auto value_bytes = c10::elementSize(type);
  const auto bytes = static_cast<size_t>(c10::multiply_integers(sizes)) * value_bytes;
  if (!kept || bytes > (size_t{1} << kLargestBits)) {
    return at::empty(sizes, type);
  }
  const auto bits = std::max<size_t>(std::bit_width(std::max<size_t>(bytes, 1) - 1), kSmallestBits);
  auto& shelf = shelves_[*kept][bits - kSmallestBits];
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
  const auto kept = kept_type(x.scalar_type());
  if (!kept || !x.is_cpu()) {
    return x.as_strided(sizes, strides, offset);
  }
  auto& views = views_[*kept];
  at::Tensor found;
  for (auto& view : views) {
    if (view.use_count() == 1) {
      // What a dropped view looked at is free again.
      view.unsafeGetTensorImpl()->set_storage_keep_dtype(found.defined() ? nothing().storage()
                                                                         : x.storage());
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

WorkspaceScope::WorkspaceScope(Workspace* workspace)
    : before_(std::exchange(current, at::GradMode::is_enabled() ? nullptr : workspace)) {}

WorkspaceScope::~WorkspaceScope() {
  current = before_;
}

bool has_workspace() {
  return current != nullptr;
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

at::Tensor new_filled(at::IntArrayRef sizes, double value, const at::Tensor& like) {
  if (current == nullptr || !like.is_cpu() || like.scalar_type() != at::kFloat) {
    return at::full(sizes, value, like.options());
  }
  auto filled = current->tensor(sizes, at::kFloat);
  std::fill_n(filled.data_ptr<float>(), filled.numel(), static_cast<float>(value));
  return filled;
}

at::Tensor stacked(at::TensorList parts) {
  const auto like_first = [&](const at::Tensor& part) {
    return is_dense_fp32(part) && part.sizes() == parts.front().sizes();
  };
  if (current == nullptr || !std::all_of(parts.begin(), parts.end(), like_first)) {
    return at::stack(parts);
  }
  c10::DimVector sizes = {static_cast<int64_t>(parts.size())};
  sizes.append(parts.front().sizes().begin(), parts.front().sizes().end());
  auto whole = current->tensor(sizes, at::kFloat);
  auto* to = whole.data_ptr<float>();
  for (const auto& part : parts) {
    to = std::copy_n(part.data_ptr<float>(), part.numel(), to);
  }
  return whole;
}

at::Tensor in_type(const at::Tensor& x, at::ScalarType type) {
  if (x.scalar_type() == type) {
    return x;
  }
  if (current == nullptr || !x.is_cpu() || !x.is_contiguous()) {
    return x.to(type);
  }
  auto y = current->tensor(x.sizes(), type);
  copy_into(y, x);
  return y;
}

}  // namespace loopbank::ops
