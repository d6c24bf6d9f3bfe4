#include "loopbank/interop/upcycle.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <map>
#include <string>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

ModelConfig upcycled_config(ModelConfig config, const UpcycleOptions& options) {
  if (config.most_loops() > 0) {
    fail(ErrorCode::kConfig,
         "upcycle: expected a dense model (\"max_loops\" 0), got one with up to {} loops.",
         config.most_loops());
  }
  config.max_loops = options.max_loops;
  config.local_memory_slots = options.local_slots;
  config.global_memory_slots = options.global_slots;
  config.memory_gate_bias_init = options.gate_init;
  if (config.most_loops() > 0) {
    config.loop_scale_kind = "linear";
    config.loop_scale_init = 0.0;
    config.first_loop_scale_init = 1.0;
  }
  return config;
}

}  // namespace

LanguageModel upcycled(const LanguageModel& dense, const UpcycleOptions& options) {
  LanguageModel model(upcycled_config(dense.config(), options));
  model.parameters().initialize(options.seed);
  std::map<std::string, at::Tensor> known;
  for (const auto& parameter : dense.parameters().all()) {
    known.emplace(parameter.name, parameter.value);
  }
  const at::NoGradGuard no_grad;
  for (const auto& parameter : model.parameters().all()) {
    auto value = parameter.value;  // a handle
    if (const auto found = known.find(parameter.name); found != known.end()) {
      value.copy_(found->second);
    } else if (parameter.name.ends_with("_projection.weight")) {
      value.zero_();
    }
  }
  return model;
}

}  // namespace loopbank
