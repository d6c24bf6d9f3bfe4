#include "loopbank/interop/upcycle.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string>

#include "loopbank/model/loop_scale.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

/// Linear scales: 1 for the first loop, 0 for those that follow.
void add_loops(ModelConfig& config, const UpcycleOptions& options) {
  if (config.most_loops() > 0 && options.max_loops != config.max_loops) {
    fail(ErrorCode::kConfig,
         "upcycle: expected a dense model (\"max_loops\" 0) to give loops to, got one with up to "
         "{}. Leave its loops as they are: memory alone can be added.",
         config.most_loops());
  }
  if (config.most_loops() > 0) {
    return;
  }
  config.max_loops = options.max_loops;
  config.router_bias_init = options.router_bias;
  config.loop_scale_kind = "linear";
  config.loop_scale_init = 0.0;
  config.first_loop_scale_init = 1.0;
  const auto& loops = config.max_loops.values;
  if (std::all_of(loops.begin(), loops.end(), [](int64_t n) { return n > 0; })) {
    config.depth_scale = "none";  // in the scale of each layer's first loop
  }
}

void add_memory(ModelConfig& config, const UpcycleOptions& options) {
  if (config.local_memory_slots + config.global_memory_slots > 0) {
    fail(ErrorCode::kConfig,
         "upcycle: expected a model without memory banks to give {} + {} slots to, got one with {} "
         "+ {}.",
         options.local_slots, options.global_slots, config.local_memory_slots,
         config.global_memory_slots);
  }
  if (config.most_loops() == 0) {
    fail(ErrorCode::kConfig,
         "upcycle: expected loops with {} + {} memory slots (only loops read memory), got "
         "\"max_loops\" 0. Set it to 1 or more.",
         options.local_slots, options.global_slots);
  }
  config.local_memory_slots = options.local_slots;
  config.global_memory_slots = options.global_slots;
  config.memory_gate_bias_init = options.gate_init;
}

/// Makes the first loop of each new adaptive layer the dense layer that it was.
void set_first_scales(LanguageModel& model, const ModelConfig& source) {
  for (int64_t l = 0; l < source.num_hidden_layers; ++l) {
    if (source.loops(l) == 0 && model.config().loops(l) > 0) {
      const auto& scales = model.parameters().get(fmt::format("layers.{}.loop_scale", l));
      scales.value.zero_();
      scales.value[0].fill_(depth_scale(source.depth_scale, l));
    }
  }
}

[[noreturn]] void fail_to_take(const Parameter& parameter, const std::string& got) {
  fail(ErrorCode::kCheckpoint,
       "upcycle: expected a place for \"{}\" [{}] in the new model, got {}. Their configs do not "
       "belong together.",
       parameter.name, fmt::join(parameter.value.sizes(), ", "), got);
}

}  // namespace

ModelConfig upcycled_config(const ModelConfig& config, const UpcycleOptions& options) {
  auto changed = config;
  changed.quantization_bits = 0;  // the values that the codes stand for
  if (options.max_loops.values != std::vector<int64_t>{0}) {
    add_loops(changed, options);
  }
  if (options.local_slots != 0 || options.global_slots != 0) {
    add_memory(changed, options);
  }
  changed.validate();
  return changed;
}

void fill_from(LanguageModel& model, const LanguageModel& source, uint64_t seed) {
  auto& parameters = model.parameters();
  std::map<std::string, size_t> places;
  for (size_t i = 0; i < parameters.all().size(); ++i) {
    places.emplace(parameters.all()[i].name, i);
  }
  for (const auto& parameter : source.parameters().all()) {
    const auto found = places.find(parameter.name);
    if (found == places.end()) {
      fail_to_take(parameter, "none");
    }
    const auto& target = parameters.all()[found->second].value;
    if (target.sizes() != parameter.value.sizes()) {
      fail_to_take(parameter, fmt::format("[{}]", fmt::join(target.sizes(), ", ")));
    }
  }
  parameters.initialize(seed);
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters.all().size(); ++i) {
    const auto& parameter = parameters.all()[i];
    if (parameter.name.ends_with("_projection.weight")) {
      parameter.value.zero_();
    }
    parameters.set_origin(i, Origin::kAdded);
  }
  for (const auto& parameter : source.parameters().all()) {
    const auto place = places.at(parameter.name);
    parameters.all()[place].value.copy_(parameter.value);
    parameters.set_origin(place, Origin::kTaken);
  }
  set_first_scales(model, source.config());
}

LanguageModel upcycled(const LanguageModel& dense, const UpcycleOptions& options) {
  LanguageModel model(upcycled_config(dense.config(), options));
  fill_from(model, dense, options.seed);
  return model;
}

}  // namespace loopbank
