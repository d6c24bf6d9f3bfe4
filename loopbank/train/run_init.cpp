#include "loopbank/train/run_init.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "loopbank/interop/upcycle.h"
#include "loopbank/model/weights.h"
#include "loopbank/support/error.h"
#include "loopbank/support/hash.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

ModelConfig config_of_init(const std::string& init) {
  const auto path = fs::path(init) / "config.json";
  if (!fs::exists(path)) {
    fail(
        ErrorCode::kCheckpoint,
        "training: \"init\" expects the folder of a model, with config.json, model.safetensors and "
        "tokenizer.json, got {}, where there is {}.",
        init, fs::exists(init) ? "no config.json" : "nothing");
  }
  return load_config(path);
}

/// What a run adds to the model that it starts from.
struct Additions {
  bool loops = false;
  bool memory = false;

  Additions(const ModelConfig& found, const ModelConfig& wanted)
      : loops(found.most_loops() == 0 && wanted.most_loops() > 0),
        memory(found.local_memory_slots + found.global_memory_slots == 0 &&
               wanted.local_memory_slots + wanted.global_memory_slots > 0) {}

  /// Whether a key of [model] is the run's to say: it is about what is added, or about the loss. How
  /// the scales of added loops start is said by neither.
  [[nodiscard]] bool covers(std::string_view key) const {
    return key == "ponder_weight" ||
           (loops && (key == "max_loops" || key == "router_bias_init" || key == "loop_scale_kind" ||
                      key.ends_with("loop_scale_init"))) ||
           (memory && (key.ends_with("memory_slots") || key == "memory_gate_bias_init"));
  }
};

/// A value and the default that it is compare equal.
ModelConfig with_defaults_resolved(ModelConfig config) {
  if (config.num_key_value_heads == 0) {
    config.num_key_value_heads = config.num_attention_heads;
  }
  if (config.head_dim * config.num_attention_heads == config.hidden_size) {
    config.head_dim = 0;
  }
  return config;
}

/// `hidden_size (96 there, 128 here)` of every key that differs and must not.
std::vector<std::string> differences(const ModelConfig& found, const ModelConfig& wanted,
                                     const Additions& added) {
  auto there = with_defaults_resolved(found);
  auto here = with_defaults_resolved(wanted);
  const auto sections_there = there.sections();
  const auto sections_here = here.sections();
  std::vector<std::string> list;
  for (size_t i = 0; i < sections_here.size(); ++i) {
    const auto before = write_json(sections_there[i].fields);
    const auto now = write_json(sections_here[i].fields);
    for (const auto& [key, value] : now.items()) {
      if (!added.covers(key) && value != before.at(key)) {
        list.push_back(fmt::format("{}.{} ({} there, {} here)", sections_here[i].name, key,
                                   before.at(key).dump(), value.dump()));
      }
    }
  }
  return list;
}

/// The model of a run that goes on, with what the config says on top. Where loops were added the start
/// of their scales was not the config's to say.
ModelConfig resumed_model(const ModelConfig& stored, ModelConfig wanted) {
  if (stored.loop_scale_kind == "linear") {
    wanted.loop_scale_kind = stored.loop_scale_kind;
    wanted.loop_scale_init = stored.loop_scale_init;
    wanted.first_loop_scale_init = stored.first_loop_scale_init;
    wanted.depth_scale = stored.depth_scale;
  }
  return wanted;
}

std::string hash_of_weights(const LanguageModel& model) {
  Hasher hasher;
  for (const auto& parameter : model.parameters().all()) {
    const auto values = parameter.value.detach().to(at::kCPU, at::kFloat).contiguous();
    hasher.add(parameter.name);
    hasher.add(values.data_ptr<float>(), values.nbytes());
  }
  return format_hash(hasher.hash());
}

struct FoundModel {
  LanguageModel model;
  std::string hash;
};

FoundModel load_init(const TrainingConfig& training) {
  auto model = load_model(training.init);
  auto hash = hash_of_weights(model);
  if (!training.init_hash.empty() && hash != training.init_hash) {
    fail(ErrorCode::kCheckpoint,
         "{}: expected the weights with hash {} (training.init_hash), got {}. Put them back or "
         "start a new run.",
         training.init, training.init_hash, hash);
  }
  return {std::move(model), std::move(hash)};
}

}  // namespace

std::string init_setting(const std::string& init) {
  return "training.init=" + nlohmann::json((fs::path(init) / "").parent_path().string())
                                .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

ModelConfig model_from_init(const ModelConfig& found, const ModelConfig& wanted,
                            const std::string& init) {
  auto source = found;
  source.quantization_bits = 0;  // the values that the codes stand for
  const Additions added(source, wanted);
  if (const auto list = differences(source, wanted, added); !list.empty()) {
    fail(ErrorCode::kConfig,
         "training: \"init\" expects a model whose config agrees with [model], got {} with {}. "
         "Leave "
         "these keys out to take the model's own.",
         init, fmt::join(list, ", "));
  }
  auto model =
      upcycled_config(source, {.max_loops = added.loops ? wanted.max_loops : IntOrList(0),
                               .local_slots = added.memory ? wanted.local_memory_slots : 0,
                               .global_slots = added.memory ? wanted.global_memory_slots : 0,
                               .gate_init = wanted.memory_gate_bias_init,
                               .router_bias = wanted.router_bias_init});
  model.ponder_weight = wanted.ponder_weight;
  return model;
}

SettingPlaces read_with_init(RunConfig& config, const std::function<SettingPlaces()>& read,
                             const std::string& where, const fs::path& resumed) {
  auto places = read();
  const auto init = config.training.init;
  const auto run = resumed / "run.toml";
  const auto stored = !resumed.empty() && fs::exists(run) ? load_stored_run(run) : RunConfig();
  if (init.empty()) {
    if (!stored.training.init.empty()) {
      fail(ErrorCode::kConfig,
           "{}: expected --init {}, from which the run in {} was started, got none. Add it.", where,
           stored.training.init, resumed.string());
    }
    return places;
  }
  try {
    if (stored.training.init == init) {
      config.model = stored.model;
      places = read();
      config.model = resumed_model(stored.model, config.model);
    } else {
      const auto found = config_of_init(init);
      config.model = found;
      config.model.quantization_bits = 0;
      places = read();
      config.model = model_from_init(found, config.model, init);
    }
  } catch (const Error& error) {
    const std::string_view text = error.what();
    if (text.starts_with("training: ") || text.starts_with("upcycle: ")) {
      throw Error(error.code(), where + ": " + error.what());
    }
    throw;
  }
  return places;
}

std::string start_from_init(LanguageModel& model, const TrainingConfig& training) {
  auto found = load_init(training);
  fill_from(model, found.model, static_cast<uint64_t>(training.seed));
  return std::move(found.hash);
}

std::string hash_of_init(const TrainingConfig& training) {
  return load_init(training).hash;
}

std::vector<std::string> added_parameters(const LanguageModel& model) {
  std::vector<std::string> names;
  for (const auto& parameter : model.parameters().all()) {
    if (parameter.origin == Origin::kAdded) {
      names.push_back(parameter.name);
    }
  }
  return names;
}

void set_added_parameters(LanguageModel& model, const std::vector<std::string>& added) {
  for (const auto& name : added) {
    (void)model.parameters().get(name);
  }
  const auto& all = model.parameters().all();
  for (size_t i = 0; i < all.size(); ++i) {
    const bool is_added = std::find(added.begin(), added.end(), all[i].name) != added.end();
    model.parameters().set_origin(i, is_added ? Origin::kAdded : Origin::kTaken);
  }
}

std::string tokenizer_of_run(const RunConfig& config, const fs::path& resumed) {
  const auto& init = config.training.init;
  if (!config.data.tokenizer.empty() || init.empty()) {
    return config.data.tokenizer;
  }
  const auto own = resumed / "tokenizer.json";
  return !resumed.empty() && fs::exists(own) ? own.string()
                                             : (fs::path(init) / "tokenizer.json").string();
}

}  // namespace loopbank
