#include "loopbank/cli/bench_decode.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/cli/inference_flags.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/infer/decode_speed.h"
#include "loopbank/model/weights.h"
#include "loopbank/ops/memory_bandwidth.h"
#include "loopbank/study/plan.h"
#include "loopbank/support/progress.h"
#include "loopbank/support/stopwatch.h"
#include "loopbank/train/device.h"

namespace loopbank::cli {
namespace {

struct DecodeFlags {
  std::string model;
  std::string device = "cpu";
  std::string config;
  std::vector<std::string> overrides;
  DecodeSettings settings;
  InferenceSettings inference;
  std::string dtype = "fp32";
  bool json = false;
};

/// The model of a folder, or one of a config's sizes with random weights.
LanguageModel model_to_decode(const DecodeFlags& flags) {
  const auto device = choose_device(flags.device, "--device");
  if (flags.model.empty() == flags.config.empty()) {
    throw CLI::ValidationError("expected either MODEL_DIR or --config CONFIG");
  }
  if (!flags.model.empty()) {
    return load_model(flags.model, device);
  }
  LanguageModel model(load_plan_config(flags.config, flags.overrides).model, device);
  model.parameters().initialize(1);
  return model;
}

/// Whether weights may lie in the caches from step to step, so that the memory bounds nothing.
bool fits_caches(double bytes) {
  constexpr double kKibibyte = 1024.0;
  std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index3/size");  // such as 32768K
  double kibibytes = 0.0;
  return file >> kibibytes && bytes <= kibibytes * kKibibyte;
}

nlohmann::ordered_json measure(const DecodeFlags& flags) {
  const Stopwatch of_load;
  const auto model = model_to_decode(flags);
  const double load_seconds = of_load.seconds();
  const auto& settings = flags.settings;
  const auto speed = measure_decoding(model, settings);
  const double bandwidth = ops::measure_read_bandwidth(at::get_num_threads());
  const double bytes = speed.bytes_per_token(settings.batch);
  return {
      {"model", flags.model.empty() ? flags.config : flags.model},
      {"dtype", flags.dtype},
      {"device", model.device().str()},
      {"threads", at::get_num_threads()},
      {"exit", settings.inference.exit.name()},
      {"kv", settings.inference.policy->name()},
      {"batch", settings.batch},
      {"prompt_tokens", settings.prompt_tokens},
      {"tokens", settings.tokens},
      {"tokens_per_second", speed.tokens_per_second},
      {"bytes_per_token", bytes},
      {"bandwidth_bytes_per_second", bandwidth},
      {"share_of_bound", !model.device().is_cpu() || fits_caches(speed.weight_bytes)
                             ? nlohmann::ordered_json()
                             : nlohmann::ordered_json(speed.tokens_per_second * bytes / bandwidth)},
      {"mean_loops", speed.mean_loops},
      {"kv_bytes_per_token", speed.kv_bytes_per_token},
      {"first_token_seconds", speed.first_token_seconds},
      {"load_seconds", load_seconds}};
}

void print_decoding(const nlohmann::ordered_json& json) {
  const auto number = [&](const char* key) { return json.at(key).get<double>(); };
  const auto text = [&](const char* key) { return json.at(key).get<std::string>(); };
  fmt::print("{} in {}, --exit {} --kv {}, batch {}, {} threads\n", text("model"), text("dtype"),
             text("exit"), text("kv"), json.at("batch").get<int64_t>(),
             json.at("threads").get<int>());
  fmt::print("  tokens/s           {:>10.1f}\n", number("tokens_per_second"));
  fmt::print("  loops a token      {:>10.2f}\n", number("mean_loops"));
  fmt::print("  read a token       {:>10}\n", format_bytes(number("bytes_per_token")));
  fmt::print("  memory             {:>10.1f} GB/s\n", number("bandwidth_bytes_per_second") / 1e9);
  if (json.at("share_of_bound").is_null()) {
    fmt::print("  share of its bound {:>10} ({})\n", "-",
               text("device") == "cpu" ? "the weights fit the caches" : "of main memory");
  } else {
    fmt::print("  share of its bound {:>10.2f}\n", number("share_of_bound"));
  }
  fmt::print("  keys and values    {:>10} a token\n", format_bytes(number("kv_bytes_per_token")));
  fmt::print("  first token after  {:>10.3f} s\n", number("first_token_seconds"));
  fmt::print("  loaded in          {:>10.3f} s\n", number("load_seconds"));
}

}  // namespace

void add_bench_decode(CLI::App& bench) {
  auto* command = bench.add_subcommand("decode", "Decoding, against the bandwidth of the memory");
  const auto flags = std::make_shared<DecodeFlags>();
  auto& settings = flags->settings;
  add_model_directory(*command, flags->model);
  add_device_flag(*command, flags->device);
  command->get_option("MODEL_DIR")->required(false);
  command->add_option("--config", flags->config,
                      "Sizes of a model with random weights in place of MODEL_DIR: as plan reads");
  command->add_option("--set", flags->overrides, "section.key=value, may be given several times");
  add_setting_flag(*command,
                   Field("dtype", &flags->dtype,
                         "number type of the weights of products; with int8 and int4 the rest is "
                         "computed in bf16")
                       .choices({"fp32", "bf16", "int8", "int4"}))
      ->capture_default_str();
  add_exit_flags(*command, flags->inference);
  for (const auto& field :
       {Field("prompt_tokens", &settings.prompt_tokens, "random tokens read first").minimum(1),
        Field("tokens", &settings.tokens, "tokens decoded behind them").minimum(2),
        Field("batch", &settings.batch, "texts decoded together").minimum(1)}) {
    add_setting_flag(*command, field)->capture_default_str();
  }
  command->add_flag("--json", flags->json, "The figures as one line of JSON on stdout");
  command->callback([flags] {
    auto& chosen = flags->settings;
    chosen.inference = flags->inference.options("bench decode");
    chosen.compute_dtype = flags->dtype == "fp32" ? at::kFloat : at::kBFloat16;
    chosen.weight_bits = flags->dtype == "int8" ? 8 : flags->dtype == "int4" ? 4 : 0;
    const auto json = measure(*flags);
    if (flags->json) {
      fmt::print("{}\n", json.dump());
    } else {
      print_decoding(json);
    }
  });
}

}  // namespace loopbank::cli
