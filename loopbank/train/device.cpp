#include "loopbank/train/device.h"

#include <ATen/Context.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "loopbank/ops/libtorch.h"
#include "loopbank/support/error.h"

#ifdef LOOPBANK_HAS_CUDA
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>
#endif

namespace loopbank {
namespace {

#ifdef LOOPBANK_HAS_CUDA
constexpr bool kHasCuda = true;
#else
constexpr bool kHasCuda = false;
#endif

int64_t num_gpus() {
#ifdef LOOPBANK_HAS_CUDA
  return c10::cuda::device_count();
#else
  return 0;
#endif
}

/// K of "cuda:K", 0 of "cuda".
int64_t gpu_index(const std::string& name, std::string_view where) {
  constexpr std::string_view kCuda = "cuda";
  int64_t index = 0;
  if (name == kCuda) {
    return index;
  }
  const auto* const begin = name.data() + std::min(name.size(), kCuda.size() + 1);
  const auto* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(begin, end, index);
  if (!name.starts_with("cuda:") || error != std::errc() || stop != end || index < 0) {
    fail(ErrorCode::kConfig, "{}: expected \"auto\", \"cpu\", \"cuda\" or \"cuda:K\", got \"{}\".",
         where, name);
  }
  return index;
}

}  // namespace

at::Device choose_device(const std::string& name, std::string_view where) {
  const auto count = num_gpus();
  if (name == "cpu" || (name == "auto" && count == 0)) {
    return at::kCPU;
  }
  const auto index = name == "auto" ? 0 : gpu_index(name, where);
  if (!kHasCuda) {
    fail(ErrorCode::kDevice,
         "{}: expected a GPU for \"{}\", got a program built without CUDA. Use \"cpu\", or build "
         "with scripts/build cuda (docs/building.md).",
         where, name);
  }
  if (count == 0) {
    fail(ErrorCode::kDevice,
         "{}: expected a GPU for \"{}\", got none that NVIDIA's driver shows. Use \"cpu\", or look "
         "at nvidia-smi.",
         where, name);
  }
  if (index >= count) {
    fail(ErrorCode::kDevice,
         "{}: expected a GPU from \"cuda:0\" to \"cuda:{}\", got \"{}\": the driver shows no more.",
         where, count - 1, name);
  }
  return {at::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

at::Device own_device(at::Device device, const Ranks& ranks) {
  return device.is_cuda() && !ranks.is_alone()
             ? choose_device(fmt::format("cuda:{}", ranks.local_rank()))
             : device;
}

std::optional<int64_t> free_memory_bytes([[maybe_unused]] at::Device device) {
#ifdef LOOPBANK_HAS_CUDA
  if (device.is_cuda()) {
    const c10::cuda::CUDAGuard guard(device);
    size_t free = 0;
    size_t total = 0;
    if (cudaMemGetInfo(&free, &total) == cudaSuccess) {
      return static_cast<int64_t>(free);
    }
  }
#endif
  return std::nullopt;
}

ReproducibleScope::ReproducibleScope(at::Device device) : changes_(device.is_cuda()) {
  if (!changes_) {
    return;
  }
  auto& context = at::globalContext();
  was_deterministic_ = context.deterministicAlgorithms();
  // cuBLAS adds up in one order only with memory of its own; it reads this when it is first used.
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  context.setDeterministicAlgorithms(true, /*warn_only=*/false);
  ops::keep_sums_of_bf16_products_in_fp32();
}

ReproducibleScope::~ReproducibleScope() {
  if (changes_) {
    at::globalContext().setDeterministicAlgorithms(was_deterministic_, /*warn_only=*/false);
  }
}

void fail_out_of_memory(const c10::OutOfMemoryError& error, std::string_view where,
                        std::string_view advice) {
  const std::string whole = error.what_without_backtrace();
  const auto line = whole.substr(0, whole.find('\n'));
  // LibTorch's sentence, up to its own advice on its allocator.
  const auto told = line.substr(0, line.find(" If reserved but unallocated"));
  fail(ErrorCode::kDevice, "{}: expected room on the GPU, got none: {} {}.", where, told, advice);
}

}  // namespace loopbank
