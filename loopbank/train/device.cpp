#include "loopbank/train/device.h"

#include <ATen/Context.h>

#include "loopbank/support/error.h"

namespace loopbank {

at::Device choose_device(const std::string& name) {
  if (name == "cpu") {
    return at::kCPU;
  }
  if (at::hasCUDA()) {
    return at::Device(at::kCUDA, 0);
  }
  if (name == "cuda") {
    fail(ErrorCode::kDevice,
         "training.device: expected a GPU for \"cuda\", got none that LibTorch finds. Use \"cpu\" "
         "or build against a CUDA build of LibTorch.");
  }
  return at::kCPU;
}

}  // namespace loopbank
