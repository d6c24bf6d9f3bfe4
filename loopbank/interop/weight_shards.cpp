#include "loopbank/interop/weight_shards.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loopbank/model/safetensors.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"

namespace loopbank {
namespace {

constexpr int64_t kMostShards = 99'999;  // five digits in a name

using Shard = std::vector<const Parameter*>;

int64_t stored_bytes(const Parameter& parameter, at::ScalarType dtype) {
  return parameter.value.numel() * static_cast<int64_t>(c10::elementSize(dtype));
}

/// The parameters in their order, a shard being full when the next would not fit.
std::vector<Shard> shards_of(const Parameters& parameters, at::ScalarType dtype,
                             int64_t shard_bytes) {
  std::vector<Shard> shards(1);
  int64_t bytes = 0;
  for (const auto& parameter : parameters.all()) {
    const auto more = stored_bytes(parameter, dtype);
    if (bytes + more > shard_bytes && !shards.back().empty()) {
      shards.emplace_back();
      bytes = 0;
    }
    shards.back().push_back(&parameter);
    bytes += more;
  }
  return shards;
}

at::Tensor stored_value(const Parameter& parameter, at::ScalarType dtype) {
  const auto value = parameter.value.detach().to(at::kCPU, dtype);
  if (dtype == at::kHalf && !at::isfinite(value).all().item<bool>() &&
      at::isfinite(parameter.value).all().item<bool>()) {
    fail(ErrorCode::kData,
         "export: parameter \"{}\": expected values up to 65504, the largest of fp16, got {:g}. "
         "Take bf16 or fp32.",
         parameter.name, parameter.value.abs().max().item<double>());
  }
  return value;
}

}  // namespace

WeightShards write_weights(const Parameters& parameters, const std::filesystem::path& directory,
                           at::ScalarType dtype, int64_t shard_bytes) {
  const at::NoGradGuard no_grad;
  const auto shards = shards_of(parameters, dtype, shard_bytes);
  const auto count = static_cast<int64_t>(shards.size());
  if (count > kMostShards) {
    fail(ErrorCode::kConfig,
         "export: expected a shard size that gives up to {} files, got {} bytes.", kMostShards,
         shard_bytes);
  }
  WeightShards written;
  auto weight_map = nlohmann::ordered_json::object();
  for (int64_t i = 0; i < count; ++i) {
    const auto name = count == 1 ? std::string("model.safetensors")
                                 : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, count);
    NamedTensors tensors;
    for (const auto* parameter : shards[static_cast<size_t>(i)]) {
      tensors.emplace_back(parameter->name, stored_value(*parameter, dtype));
      weight_map[parameter->name] = name;
      written.bytes += stored_bytes(*parameter, dtype);
    }
    write_safetensors(directory / name, tensors, {{"format", "pt"}});
    written.files.push_back(name);
  }
  if (count > 1) {
    const nlohmann::ordered_json index = {{"metadata", {{"total_size", written.bytes}}},
                                          {"weight_map", std::move(weight_map)}};
    write_file_atomically(directory / "model.safetensors.index.json", index.dump(2) + "\n",
                          ErrorCode::kCheckpoint);
  }
  return written;
}

}  // namespace loopbank
