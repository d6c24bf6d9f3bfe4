#pragma once
/// Where a run computes, from the setting's name, and how a GPU is made to compute the same twice.

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "loopbank/ranks/ranks.h"

namespace loopbank {

/// @param name   "cpu", "cuda" (GPU 0), "cuda:K", or "auto": GPU 0 if there is one, otherwise the CPU
/// @param where  names the place in the error: a setting, a flag
/// @throws Error kDevice when a GPU is asked for that is not there, with how many there are; kConfig
///         for another name
[[nodiscard]] at::Device choose_device(const std::string& name,
                                       std::string_view where = "training.device");

/// Among several ranks a GPU is the one of the rank's number on its machine; otherwise the device.
/// @throws Error kDevice as choose_device
[[nodiscard]] at::Device own_device(at::Device device, const Ranks& ranks);

/// Memory of a GPU that nobody uses yet, bytes; nothing for the CPU and in a build without CUDA.
[[nodiscard]] std::optional<int64_t> free_memory_bytes(at::Device device);

/// While it exists, LibTorch's operators on a GPU add up in one order, whatever the timing of its
/// threads: a run then gives the same bits twice on the same card, and resumes bit for bit. It costs
/// the backward pass of attention some speed. Products in bf16 are not summed in bf16 either. Does
/// nothing for the CPU, where sums have one order anyway.
class ReproducibleScope {
 public:
  explicit ReproducibleScope(at::Device device);
  ~ReproducibleScope();
  ReproducibleScope(const ReproducibleScope&) = delete;
  ReproducibleScope& operator=(const ReproducibleScope&) = delete;

 private:
  bool changes_;
  bool was_deterministic_ = false;
};

/// LibTorch's error of a GPU that has no memory left, as one of ours.
/// @param advice  what to lower, a sentence without its full stop
/// @throws Error kDevice `where: expected room on the GPU, got none: CUDA out of memory. ... ADVICE.`
[[noreturn]] void fail_out_of_memory(const c10::OutOfMemoryError& error, std::string_view where,
                                     std::string_view advice);

}  // namespace loopbank
