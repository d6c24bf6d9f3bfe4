#include "loopbank/ops/kernels.h"

#include <ATen/ATen.h>

#include <atomic>

namespace loopbank::ops {
namespace {

std::atomic<Kernels>& choice() {
  static std::atomic<Kernels> instance{Kernels::kFused};
  return instance;
}

}  // namespace

Kernels kernels() {
  return choice().load(std::memory_order_relaxed);
}

void set_kernels(Kernels kernels) {
  choice().store(kernels, std::memory_order_relaxed);
}

bool takes_fused(const at::Tensor& x) {
  return kernels() == Kernels::kFused && x.is_cpu() && x.numel() > 0 &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

at::Tensor dense(const at::Tensor& x) {
  return x.detach().contiguous();
}

}  // namespace loopbank::ops
