#pragma once
/// Where a run computes, from the setting's name.

#include <ATen/core/Tensor.h>

#include <string>

namespace loopbank {

/// @param name  "cpu", "cuda", or "auto": a GPU if LibTorch finds one, otherwise the CPU
/// @throws Error kDevice when a GPU is asked for and there is none
[[nodiscard]] at::Device choose_device(const std::string& name);

}  // namespace loopbank
