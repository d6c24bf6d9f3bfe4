#include "loopbank/ops/gated_sum.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/sigmoid.h>
#include <c10/util/DimVector.h>

#include <algorithm>

#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/cuda/fused.h"
#include "loopbank/ops/cuda/launches.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/gated_sum_kernels.h"
#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

void check_gated_sum_shapes(const at::Tensor& state, const at::Tensor& logits,
                            at::TensorList biases, at::TensorList memories) {
  if (biases.empty() || memories.size() != biases.size()) {
    fail(ErrorCode::kShape,
         "gated_sum: expected a bias and a memory for each of at least one bank, got {} and {}.",
         biases.size(), memories.size());
  }
  expect_rows("gated_sum", "state", state);
  expect_rows("gated_sum", "logits", logits);
  const auto width = state.size(-1);
  c10::DimVector joined(state.sizes());
  joined.back() *= static_cast<int64_t>(biases.size());
  expect_shape("gated_sum", "logits", logits, joined);
  for (size_t bank = 0; bank < biases.size(); ++bank) {
    expect_shape("gated_sum", "bias", biases[bank], {width});
    expect_shape("gated_sum", "memory", memories[bank], state.sizes());
    expect_rows("gated_sum", "memory", memories[bank]);
  }
}

bool takes_fused_sum(const at::Tensor& state, const at::Tensor& logits, at::TensorList biases,
                     at::TensorList memories) {
  const auto is_like_logits = [&](const at::Tensor& x) {
    return x.is_cpu() && x.scalar_type() == logits.scalar_type();
  };
  return takes_fused(logits) && is_fp32_on_cpu(state) && biases.size() <= kMostFusedBanks &&
         std::all_of(biases.begin(), biases.end(), is_fp32_on_cpu) &&
         std::all_of(memories.begin(), memories.end(), is_like_logits);
}

bool device_takes_sum(const at::Tensor& state, const at::Tensor& logits, at::TensorList biases,
                      at::TensorList memories) {
  const auto is_like_logits = [&](const at::Tensor& x) {
    return cuda::takes(x) && x.scalar_type() == logits.scalar_type();
  };
  return cuda::takes(logits) && cuda::takes_fp32(state) && biases.size() <= cuda::kMostBanks &&
         std::all_of(biases.begin(), biases.end(), cuda::takes_fp32) &&
         std::all_of(memories.begin(), memories.end(), is_like_logits);
}

}  // namespace

at::Tensor gated_sum(const at::Tensor& state, const at::Tensor& logits, at::TensorList biases,
                     at::TensorList memories) {
  check_gated_sum_shapes(state, logits, biases, memories);
  if (takes_fused_sum(state, logits, biases, memories)) {
    return cpu::gated_sum(state, logits, biases, memories);
  }
  if constexpr (cuda::kIsBuilt) {
    if (device_takes_sum(state, logits, biases, memories)) {
      return cuda::gated_sum(state, logits, biases, memories);
    }
  }
  const auto width = state.size(-1);
  auto sum = state;  // [..., D]
  for (size_t bank = 0; bank < biases.size(); ++bank) {
    const auto of_bank = logits.narrow(-1, static_cast<int64_t>(bank) * width, width);  // [..., D]
    sum = sum + memory_gate(of_bank, biases[bank]) * memories[bank];
  }
  return sum.to(state.scalar_type());
}

at::Tensor memory_gate(const at::Tensor& logits, const at::Tensor& bias) {
  expect_rows("memory_gate", "logits", logits);
  expect_shape("memory_gate", "bias", bias, {logits.size(-1)});
  return at::sigmoid(logits.to(accumulation_type(logits.scalar_type())) + bias);  // [..., D]
}

}  // namespace loopbank::ops
