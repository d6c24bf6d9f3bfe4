/// cross_entropy_in_place (fused.h).

#include "loopbank/ops/cuda/fused.h"

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>

#include "loopbank/ops/cuda/launches.h"
#include "loopbank/ops/cuda/tensors.h"

namespace loopbank::ops::cuda {

at::Tensor cross_entropy_in_place(const at::Tensor& logits, const at::Tensor& targets,
                                  int64_t ignore, const at::Tensor& scale) {
  const ProfiledOp op("loopbank::cross_entropy");
  const c10::DeviceGuard guard(logits.device());
  const auto rows = logits.size(0);
  const auto dense_targets = targets.contiguous();
  const auto losses = empty_on(logits, {rows}, at::kFloat);
  loopbank::ops::cuda::cross_entropy_in_place(
      CrossEntropyInPlace{.logits = values_of(logits),
                          .targets = dense_targets.data_ptr<int64_t>(),
                          .losses = floats_of(losses),
                          .scale = floats_of(scale),
                          .writes_gradient = true,
                          .ignore = ignore,
                          .rows = rows,
                          .width = logits.size(1)},
      stream_of(logits));
  return losses;
}

}  // namespace loopbank::ops::cuda
