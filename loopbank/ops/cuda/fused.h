#pragma once
/// The fused ops of a GPU, each in the file of its name: what the op's definition computes, equal in
/// value and gradient within its tolerance, in one pass over memory where the definition takes
/// several. docs/cuda-kernels.md says what each moves, and what is left to ATen.
///
/// The definition checks its inputs and hands those on that `takes` and the like let pass. Signatures
/// are those of the public headers. Built where LibTorch is made for CUDA, and nowhere else but in the
/// tests, which run the kernels on the CPU, thread by thread (tests/cuda/device_emulator.h).

#include <ATen/core/Tensor.h>

#include <vector>

#include "loopbank/ops/cuda/launches.h"
#include "loopbank/ops/halting.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/rotated_heads.h"

namespace loopbank::ops::cuda {

#ifdef LOOPBANK_HAS_CUDA
inline constexpr bool kIsBuilt = true;
#else
inline constexpr bool kIsBuilt = false;  // and what is declared here is not defined
#endif

/// Whether a fused version takes this input: fused kernels chosen, on a GPU, fp32 or bf16, not empty.
[[nodiscard]] inline bool takes(const at::Tensor& x) {
  return kIsBuilt && kernels() == Kernels::kFused && x.is_cuda() && x.numel() > 0 &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

/// The same for what it takes in fp32 alone.
[[nodiscard]] inline bool takes_fp32(const at::Tensor& x) {
  return takes(x) && x.scalar_type() == at::kFloat;
}

/// Whether rotated_heads takes them.
[[nodiscard]] inline bool takes_heads(const at::Tensor& qkv, const RotaryTable& angles,
                                      const HeadNorm& norm) {
  return takes(qkv) && takes_fp32(angles.cosines) && takes_fp32(angles.sines) &&
         (norm.place == NormPlace::kNone ||
          (takes_fp32(norm.query_weight) && takes_fp32(norm.key_weight))) &&
         takes_head_width(2 * angles.cosines.size(1));
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType out);

struct NormAndInput {
  at::Tensor y;  ///< rms_norm(x)
  at::Tensor x;  ///< the input again, for its other readers
};
/// rms_norm whose backward pass also adds the gradient that the other readers of x give it, which
/// autograd would do in a pass of its own.
NormAndInput rms_norm_and_input(const at::Tensor& x, const at::Tensor& weight, double eps,
                                at::ScalarType out);
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps, at::ScalarType out);

at::Tensor swiglu(const at::Tensor& gate_up);
at::Tensor scaled_residual(const at::Tensor& state, const at::Tensor& branch,
                           const at::Tensor& scale);

/// Of at most kMostBanks banks (launches.h).
at::Tensor gated_sum(const at::Tensor& state, const at::Tensor& logits, at::TensorList biases,
                     at::TensorList memories);
at::Tensor memory_read(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values);

/// Of at most kMostLoops loops (launches.h).
at::Tensor halting_distribution(const std::vector<at::Tensor>& logits);
HaltingMix mix_by_halting(const std::vector<at::Tensor>& states, const at::Tensor& halting);

/// Queries, keys and values of rows whose positions go round: row r stands at r mod T of the angles
/// [T, d/2]. Differentiable in qkv and both weights. Of heads that takes_head_width (launches.h).
RotatedHeads rotated_heads(const at::Tensor& qkv, const AttentionHeads& heads,
                           const RotaryTable& angles, const HeadNorm& norm);

/// Cross-entropy of rows of logits, and its gradient in their place.
///
/// @param logits   [R, V]  fp32 or bf16, dense; afterwards scale (softmax - one at the target), zeros
///                 where a target is not counted
/// @param targets  [R]     int64 in [0, V), or `ignore`
/// @param scale    one value, fp32, on the device; undefined for 1
/// @return losses [R] fp32, nats, not scaled, 0 where not counted; not differentiable
/// Numerics: softmax and loss in fp32; the gradient rounded once, to the type of the logits.
at::Tensor cross_entropy_in_place(const at::Tensor& logits, const at::Tensor& targets,
                                  int64_t ignore, const at::Tensor& scale);

}  // namespace loopbank::ops::cuda
