#include "loopbank/ops/cuda/tensors.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "loopbank/ops/kernels.h"
#include "loopbank/support/error.h"

namespace loopbank::ops::cuda {

Values values_of(const at::Tensor& x) {
  return x.defined() ? Values{.data = x.data_ptr(),
                              .size = x.numel(),
                              .is_bf16 = x.scalar_type() == at::kBFloat16}
                     : Values();
}

Floats floats_of(const at::Tensor& x) {
  return x.defined() ? Floats{.data = x.data_ptr<float>(), .size = x.numel()} : Floats();
}

at::Tensor aligned(const at::Tensor& x) {
  constexpr uintptr_t kAlignment = 16;
  const auto rows = dense(x);
  const bool is_aligned = reinterpret_cast<uintptr_t>(rows.data_ptr()) % kAlignment == 0;
  return is_aligned ? rows : rows.detach().clone();
}

at::Tensor empty_on(const at::Tensor& like, at::IntArrayRef sizes, at::ScalarType type) {
  return at::empty(sizes, at::TensorOptions().device(like.device()).dtype(type));
}

void launch_failed(const char* name, const char* why) {
  fail(ErrorCode::kDevice, "{}: expected the kernel to start, got \"{}\".", name, why);
}

}  // namespace loopbank::ops::cuda
