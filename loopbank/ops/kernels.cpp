#include "loopbank/ops/kernels.h"

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>

#include <hwy/targets.h>
#include <atomic>
#include <cstdlib>
#include <string_view>

#include "loopbank/ops/workspace.h"

namespace loopbank::ops {
namespace {

Kernels at_start() {
  if (is_limited_to_avx2()) {
    hwy::DisableTargets(HWY_AVX3 | HWY_AVX3_DL);
  }
  return Kernels::kFused;
}

std::atomic<Kernels>& choice() {
  static std::atomic<Kernels> instance{at_start()};
  return instance;
}

/// Fused kernels chosen, fp32 or bf16, not empty.
bool has_fused_type(const at::Tensor& x) {
  return kernels() == Kernels::kFused && x.numel() > 0 &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

}  // namespace

Kernels kernels() {
  return choice().load(std::memory_order_relaxed);
}

void set_kernels(Kernels kernels) {
  choice().store(kernels, std::memory_order_relaxed);
}

bool is_limited_to_avx2() {
  const char* simd = std::getenv("LOOPBANK_SIMD");
  return simd != nullptr && std::string_view(simd) == "avx2";
}

bool takes_fused(const at::Tensor& x) {
  return x.is_cpu() && has_fused_type(x);
}

bool takes_fused_on_device(const at::Tensor& x) {
  return !x.is_cpu() && has_fused_type(x);
}

bool is_fp32_on_cpu(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat;
}

struct ProfiledOp::Record {
  at::RecordFunction guard{at::RecordScope::FUNCTION};
};

ProfiledOp::ProfiledOp(const char* name) {
  if (!at::hasCallbacks()) {
    return;  // nobody looks: no allocation
  }
  record_ = std::make_unique<Record>();
  if (record_->guard.isActive()) {
    record_->guard.before(name);
  }
}

ProfiledOp::~ProfiledOp() = default;

at::Tensor dense(const at::Tensor& x) {
  // Without a graph the tensor itself will do, and spares two calls of ATen.
  const bool is_part_of_graph = x.requires_grad() && !has_workspace();
  return is_part_of_graph || !x.is_contiguous() ? x.detach().contiguous() : x;
}

}  // namespace loopbank::ops
