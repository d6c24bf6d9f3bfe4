#include "loopbank/cli/bench_ops.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "loopbank/model/config.h"
#include "loopbank/ops/gemm/gemm_peak.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/op_cases.h"
#include "loopbank/support/error.h"
#include "loopbank/support/statistics.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank::cli {
namespace {

constexpr double kSecondsPerOp = 0.3;
constexpr size_t kFewestRepeats = 3;
constexpr int64_t kSlotsWithoutMemory = 128;
constexpr int64_t kLoopsOfDense = 3;

/// The sizes that a run's config gives the ops; banks and loops of a fixed size where it has none.
ops::OpSizes sizes_of(const RunConfig& config) {
  const auto& model = config.model;
  const auto slots = std::max(model.local_memory_slots, model.global_memory_slots);
  return {.B = config.training.batch,
          .T = config.training.sequence_length,
          .D = model.hidden_size,
          .H = model.num_attention_heads,
          .H_kv = model.num_key_value_heads,
          .F = model.intermediate_size,
          .V = model.vocab_size,
          .M = slots > 0 ? slots : kSlotsWithoutMemory,
          .N = model.loops(0) > 0 ? model.loops(0) : kLoopsOfDense,
          .d = model.head_size()};
}

struct Seconds {
  double forward = 0.0;
  double backward = 0.0;
};

/// Calls of an op between two looks at the clock: on a device, where waiting for a result takes as
/// long as a small op.
constexpr int kCallsOnDevice = 20;

class TimedOp {
 public:
  explicit TimedOp(const ops::OpCase& op) : op_(op) {
    for (const auto& input : op.inputs) {
      auto leaf = input.detach();
      leaves_.push_back(leaf.is_floating_point() ? leaf.requires_grad_(true) : leaf);
    }
    // Warm: code, caches, memory.
    const auto result = op_.run(leaves_);
    gradient_ = at::ones(result.sizes(), result.options().requires_grad(false));
    run_backward(result);
    wait();
  }

  /// Medians over repeats with the kernels in force, the graph for the gradients included.
  Seconds seconds() {
    std::vector<double> forward, backward;
    const Stopwatch all;
    while (all.seconds() < kSecondsPerOp || forward.size() < kFewestRepeats) {
      const auto one = leaves_.front().is_cpu() ? one_call() : calls_on_device();
      forward.push_back(one.forward);
      backward.push_back(one.backward);
    }
    return {median(std::move(forward)), median(std::move(backward))};
  }

 private:
  void run_backward(const at::Tensor& result) {
    result.backward(gradient_);
    for (const auto& leaf : leaves_) {
      if (leaf.requires_grad()) {
        leaf.mutable_grad().reset();
      }
    }
  }

  /// Until the device has done what it was given: a value read back is there only then.
  void wait() {
    if (!gradient_.is_cpu()) {
      static_cast<void>(gradient_.flatten()[0].to(at::kCPU));
    }
  }

  Seconds one_call() {
    const Stopwatch of_forward;
    const auto result = op_.run(leaves_);
    const double forward = of_forward.seconds();
    const Stopwatch of_backward;
    run_backward(result);
    return {forward, of_backward.seconds()};
  }

  Seconds calls_on_device() {
    const Stopwatch of_forward;
    for (int i = 0; i < kCallsOnDevice; ++i) {
      op_.run(leaves_);
    }
    wait();
    const double forward = of_forward.seconds();
    const Stopwatch of_both;
    for (int i = 0; i < kCallsOnDevice; ++i) {
      run_backward(op_.run(leaves_));
    }
    wait();
    const double both = of_both.seconds();
    return {forward / kCallsOnDevice, std::max(0.0, both - forward) / kCallsOnDevice};
  }

  const ops::OpCase& op_;
  std::vector<at::Tensor> leaves_;
  at::Tensor gradient_;
};

Seconds time_with(ops::Kernels kernels, const ops::OpCase& op) {
  const ops::KernelsScope scope(kernels);
  return TimedOp(op).seconds();
}

nlohmann::ordered_json measure(const ops::OpCase& op, at::ScalarType dtype, double peak) {
  const double difference = ops::largest_difference(op);
  if (!(difference <= ops::allowed_difference(dtype))) {
    fail(ErrorCode::kData,
         "bench ops: {}: expected fused and reference within {:.2g} of the largest value, got "
         "{:.2g}. What is wrong is not timed.",
         op.name, ops::allowed_difference(dtype), difference);
  }
  const auto fused = time_with(ops::Kernels::kFused, op);
  const auto reference = time_with(ops::Kernels::kReference, op);
  const double seconds = fused.forward + fused.backward;
  nlohmann::ordered_json json = {
      {"op", op.name},
      {"forward_seconds", fused.forward},
      {"backward_seconds", fused.backward},
      {"forward_ratio_to_reference", reference.forward / fused.forward},
      {"ratio_to_reference", (reference.forward + reference.backward) / seconds},
      {"difference", difference},
      {"bytes_per_second", (op.forward_bytes + op.backward_bytes) / seconds}};
  if (op.forward_flops > 0.0) {
    json["share_of_gemm_peak"] = (op.forward_flops + op.backward_flops) / seconds / peak;
  }
  return json;
}

void print_op(const nlohmann::ordered_json& op) {
  const auto number = [&](const char* key) { return op.at(key).get<double>(); };
  const auto speed = op.contains("share_of_gemm_peak")
                         ? fmt::format("{:5.1f} % of peak", 100 * number("share_of_gemm_peak"))
                         : fmt::format("{:6.1f} GB/s", number("bytes_per_second") / 1e9);
  fmt::print("{:<44} {:>9.3f} {:>9.3f} ms {:>7.2f} {:>7.2f} x   {}\n",
             op.at("op").get<std::string>(), 1e3 * number("forward_seconds"),
             1e3 * number("backward_seconds"), number("forward_ratio_to_reference"),
             number("ratio_to_reference"), speed);
}

}  // namespace

nlohmann::ordered_json bench_ops(const RunConfig& config, at::Device device, bool print) {
  const auto dtype = config.training.precision == "bf16" ? at::kBFloat16 : at::kFloat;
  const double peak = ops::measure_gemm_peak(dtype, device);
  auto sizes = sizes_of(config);
  auto results = nlohmann::ordered_json::array();
  if (print) {
    const auto where =
        device.is_cpu() ? fmt::format("{} threads", at::get_num_threads()) : device.str();
    fmt::print("{}, GEMM peak {:.0f} GFLOP/s; ratios to the reference in plain ATen\n", where,
               peak / 1e9);
    fmt::print("{:<44} {:>9} {:>9}    {:>7} {:>7}\n", "op", "forward", "backward", "forward",
               "both");
  }
  for (const auto& op : ops::op_cases(sizes, dtype, device)) {
    results.push_back(measure(op, dtype, peak));
    if (print) {
      print_op(results.back());
    }
  }
  return {{"device", device.str()},
          {"threads", at::get_num_threads()},
          {"gemm_peak_flops", peak},
          {"ops", results}};
}

}  // namespace loopbank::cli
