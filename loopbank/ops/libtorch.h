#pragma once
/// What differs between the versions of LibTorch that the library is built with, under one name
/// each.
///
/// Debian 12 has 1.13, Debian 13 has 2.6, and pip has later ones. The library is written against
/// what all of them have; where that is not enough, the #if is here and nowhere else. This is not a
/// layer over LibTorch: what every version has is called by LibTorch's own name. For sources and
/// tests: no header of the library includes this one, since it takes more of LibTorch than
/// <ATen/core/Tensor.h>.

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <c10/core/Allocator.h>
#include <torch/version.h>

#include <vector>

#if TORCH_VERSION_MAJOR >= 2
#include <ATen/ops/_fused_adamw.h>
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

/// Products in bf16 on a GPU add up the parts of a sum in fp32 (LibTorch 1.13 and later lets cuBLAS
/// do that in bf16), and no buffer is filled with NaN to find what is not written.
inline void keep_sums_of_bf16_products_in_fp32() {
#if TORCH_VERSION_MAJOR >= 2
  at::globalContext().setAllowBF16ReductionCuBLAS(false);
#endif
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 2)
  at::globalContext().setDeterministicFillUninitializedMemory(false);
#endif
}

/// Tensors of one group of an optimizer, each list in the same order.
struct AdamwTensors {
  std::vector<at::Tensor> values, gradients, first_moments, second_moments;
};

struct AdamwSettings {
  double learning_rate, beta1, beta2, weight_decay, eps;
};

/// Whether LibTorch has a step of AdamW as one kernel for many tensors.
inline constexpr bool kHasFusedAdamw = TORCH_VERSION_MAJOR >= 2;

/// One step of AdamW on all of them, as torch.optim.AdamW(fused=True).
///
/// @param k        scalar fp32: the number of this step, from 1
/// @param divisor  scalar fp32: gradients are divided by it first, and overwritten
/// @param skipped  scalar fp32: 1 leaves everything as it is, else 0
inline void fused_adamw([[maybe_unused]] const AdamwTensors& tensors,
                        [[maybe_unused]] const at::Tensor& k,
                        [[maybe_unused]] const at::Tensor& divisor,
                        [[maybe_unused]] const at::Tensor& skipped,
                        [[maybe_unused]] const AdamwSettings& settings) {
#if TORCH_VERSION_MAJOR >= 2
  const std::vector<at::Tensor> steps(tensors.values.size(), k);  // read alone
  at::_fused_adamw_(tensors.values, tensors.gradients, tensors.first_moments,
                    tensors.second_moments, /*max_exp_avg_sqs=*/{}, steps, settings.learning_rate,
                    settings.beta1, settings.beta2, settings.weight_decay, settings.eps,
                    /*amsgrad=*/false, /*maximize=*/false, divisor, skipped);
#endif
}

}  // namespace loopbank::ops
