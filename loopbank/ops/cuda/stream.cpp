/// stream_of (tensors.h): the only file that takes LibTorch's headers for CUDA.

#include <c10/cuda/CUDAStream.h>

#include "loopbank/ops/cuda/tensors.h"

namespace loopbank::ops::cuda {

Stream stream_of(const at::Tensor& x) {
  return c10::cuda::getCurrentCUDAStream(x.get_device()).stream();
}

}  // namespace loopbank::ops::cuda
