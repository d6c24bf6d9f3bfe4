#include "loopbank/train/benchmark_steps.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <fstream>
#include <string>

#include "loopbank/support/random.h"
#include "loopbank/support/stopwatch.h"
#include "loopbank/train/device.h"

#ifdef LOOPBANK_HAS_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#endif

namespace loopbank {
namespace {

constexpr int64_t kBytesPerKilobyte = 1024;

}  // namespace

Batch random_batch(const RunConfig& config, at::Device device) {
  RandomStream random(derive_seed(static_cast<uint64_t>(config.training.seed), "benchmark"));
  const auto columns = config.training.sequence_length + 1;
  auto text = at::empty({config.training.batch, columns}, at::kLong);  // [B, T + 1]
  auto* ids = text.data_ptr<int64_t>();
  for (int64_t i = 0; i < text.numel(); ++i) {
    ids[i] = static_cast<int64_t>(random.below(static_cast<uint64_t>(config.model.vocab_size)));
  }
  text = text.to(device);
  return {text.narrow(1, 0, columns - 1).contiguous(), text.narrow(1, 1, columns - 1).contiguous()};
}

BenchmarkSteps::BenchmarkSteps(const RunConfig& config, at::Device device)
    : config_(config),
      options_(config.training.forward_options()),
      model_(config.model, device),
      step_(make_batch_step(model_, config, Ranks())),
      batch_(random_batch(config, device)) {
  model_.parameters().initialize(static_cast<uint64_t>(config.training.seed));
}

double BenchmarkSteps::run() {
  const Stopwatch watch;
  const ReproducibleScope scope(model_.device());
  (void)step_->take(
      batch_, options_,
      {.learning_rate = config_.schedule.initial_rate, .clip_norm = config_.optimizer.clip_norm},
      /*wants_stop=*/false);
  // A GPU has done all its work once a value that the step wrote last has been read.
  (void)model_.parameters().all().back().value.detach().view(-1)[0].item();
  return watch.seconds();
}

int64_t BenchmarkSteps::tokens_per_step() const {
  return config_.training.batch * config_.training.sequence_length;
}

int64_t peak_memory_bytes(at::Device device) {
#ifdef LOOPBANK_HAS_CUDA
  if (device.is_cuda()) {
    const auto index = device.has_index() ? device.index() : c10::DeviceIndex{0};
    return c10::cuda::CUDACachingAllocator::getDeviceStats(index).allocated_bytes[0].peak;
  }
#else
  (void)device;
#endif
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmHWM:")) {
      return std::stoll(line.substr(6)) * kBytesPerKilobyte;
    }
  }
  return 0;
}

}  // namespace loopbank
