#pragma once
/// Which of an op's two versions runs: its reference in plain ATen, which is its definition, or the
/// fused one, equal in value and gradient within the op's tolerance.
///
/// Chosen for the whole program, not per call or pass: an op's signature is that of its reference,
/// and the backward pass needs no choice of its own, since autograd keeps what the forward pass
/// chose. Fused versions exist for fp32 and bf16 on the CPU, a few for GPUs; everything else takes
/// the reference.

#include <ATen/core/Tensor.h>

#include <memory>

namespace loopbank::ops {

/// The two versions of every op.
enum class Kernels { kReference, kFused };

/// The choice in force; fused at the start of the program.
[[nodiscard]] Kernels kernels();

/// From now on, in every thread.
void set_kernels(Kernels kernels);

/// A different choice until the end of the scope, in every thread.
class KernelsScope {
 public:
  explicit KernelsScope(Kernels kernels) : before_(ops::kernels()) { set_kernels(kernels); }
  ~KernelsScope() { set_kernels(before_); }
  KernelsScope(const KernelsScope&) = delete;
  KernelsScope& operator=(const KernelsScope&) = delete;

 private:
  Kernels before_;
};

/// Whether LOOPBANK_SIMD=avx2 is set, which limits the vector loops to what machines without AVX-512
/// have, for tests. It is read at the first op.
[[nodiscard]] bool is_limited_to_avx2();

/// Sees to that in an op's form without tensors, which asks for no version and may be the first.
inline void honour_simd_limit() {
  static_cast<void>(kernels());
}

/// Whether a fused version takes this input: fused kernels chosen, on the CPU, fp32 or bf16, not
/// empty.
[[nodiscard]] bool takes_fused(const at::Tensor& x);

/// The same for the few versions that are made for other devices than the CPU: fused kernels chosen,
/// on another device, fp32 or bf16, not empty.
[[nodiscard]] bool takes_fused_on_device(const at::Tensor& x);

/// Whether a fused version takes this input where it accepts only fp32, such as a weight beside
/// activations of either dtype.
[[nodiscard]] bool is_fp32_on_cpu(const at::Tensor& x);

/// While it exists, profilers and `loopbank bench train` see this op run, as they see ATen's.
class ProfiledOp {
 public:
  /// @param name  such as "loopbank::linear"
  explicit ProfiledOp(const char* name);
  ~ProfiledOp();
  ProfiledOp(const ProfiledOp&) = delete;
  ProfiledOp& operator=(const ProfiledOp&) = delete;

 private:
  struct Record;
  std::unique_ptr<Record> record_;
};

/// The input as a fused kernel reads it, in rows without gaps.
[[nodiscard]] at::Tensor dense(const at::Tensor& x);

}  // namespace loopbank::ops
