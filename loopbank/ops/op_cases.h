#pragma once
/// Every op that has a fused version, as a case: inputs of a stated size, what it computes, and the
/// FLOPs and bytes that this takes at least. One list serves the test that compares both versions
/// and `loopbank bench ops`, which times them.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace loopbank::ops {

/// SPEC's letters; M slots of a memory bank, N loops.
struct OpSizes {
  int64_t B = 2, T = 512, D = 768, H = 12, H_kv = 12, F = 2048, V = 50304, M = 1024, N = 3;
  int64_t d = 0;  ///< of a head; 0: D / H

  [[nodiscard]] int64_t head_size() const { return d > 0 ? d : D / H; }
};

using OpFunction = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

struct OpCase {
  std::string name;                ///< `rms_norm [2, 512, 768] bf16`
  std::vector<at::Tensor> inputs;  ///< those that are floating point are differentiated
  OpFunction run;
  double forward_flops = 0.0;   ///< of matrix products; 0 if there are none
  double backward_flops = 0.0;  ///< without what is recomputed
  double forward_bytes = 0.0;   ///< every input read and every result written once
  double backward_bytes = 0.0;  ///< inputs and the result's gradient read, gradients written
};

/// @param dtype   of products: fp32 or bf16
/// @param device  where the inputs are; their values are the same everywhere
[[nodiscard]] std::vector<OpCase> op_cases(const OpSizes& sizes, at::ScalarType dtype,
                                           at::Device device = at::kCPU);

/// The result and the gradient of every differentiated input, weighted with fixed random numbers,
/// with the kernels in force.
[[nodiscard]] std::vector<at::Tensor> result_and_gradients(const OpCase& op);

/// The largest max |fused - reference| / max |reference| over the result and the gradients.
[[nodiscard]] double largest_difference(const OpCase& op);

/// What largest_difference may be: sums in another order in fp32; in bf16 the reference rounds sums
/// of gradients and weights of a softmax that fused versions keep in fp32.
[[nodiscard]] double allowed_difference(at::ScalarType dtype);

}  // namespace loopbank::ops
