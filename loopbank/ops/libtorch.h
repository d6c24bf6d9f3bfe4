#pragma once
/// What differs between the versions of LibTorch that the library is built with, under one name
/// each.
///
/// Debian 12 has 1.13, Debian 13 has 2.6, and pip has later ones. The library is written against
/// what all of them have; where that is not enough, the #if is here and nowhere else. This is not a
/// layer over LibTorch: what every version has is called by LibTorch's own name. For sources and
/// tests: no header of the library includes this one, since it takes more of LibTorch than
/// <ATen/core/Tensor.h>.

#include <ATen/core/Tensor.h>
#include <c10/core/Allocator.h>
#include <torch/version.h>

#if TORCH_VERSION_MAJOR >= 2
#include <ATen/ops/scaled_dot_product_attention.h>
#endif

namespace loopbank::ops {

/// LibTorch's allocator with its one function named `block`. Until LibTorch 2.3 allocate() is
/// const; since then an allocator also says how bytes of its blocks are copied, here as in main
/// memory.
class HostAllocator : public at::Allocator {
 public:
  /// @param bytes  0 or more
  [[nodiscard]] virtual at::DataPtr block(size_t bytes) const = 0;

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
  at::DataPtr allocate(size_t bytes) final {
    return block(bytes);
  }
  void copy_data(void* to, const void* from, size_t bytes) const final {
    default_copy_data(to, from, bytes);
  }
#else
  at::DataPtr allocate(size_t bytes) const final {
    return block(bytes);
  }
#endif
};

/// Causal attention by LibTorch's own fused kernel, which LibTorch 1 lacks.
///
/// @param query, keys, values  [B, H, T, d]  on a GPU
/// @return [B, H, T, d], or an undefined tensor if there is no such kernel
inline at::Tensor fused_causal_attention([[maybe_unused]] const at::Tensor& query,
                                         [[maybe_unused]] const at::Tensor& keys,
                                         [[maybe_unused]] const at::Tensor& values) {
#if TORCH_VERSION_MAJOR >= 2
  return at::scaled_dot_product_attention(query, keys, values, {}, 0.0, /*is_causal=*/true);
#else
  return {};
#endif
}

}  // namespace loopbank::ops
