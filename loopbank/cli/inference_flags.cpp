#include "loopbank/cli/inference_flags.h"

#include <algorithm>
#include <filesystem>
#include <string>

#include "loopbank/cli/setting_flags.h"
#include "loopbank/model/config.h"
#include "loopbank/train/run_config.h"

namespace loopbank::cli {

void add_model_directory(CLI::App& command, std::string& directory) {
  command
      .add_option("MODEL_DIR", directory,
                  "Folder with config.json, model.safetensors and tokenizer.json")
      ->required();
}

void add_precision_flag(CLI::App& command, at::ScalarType& compute_dtype, const char* name) {
  command
      .add_option_function<std::string>(
          name,
          [&compute_dtype](const std::string& chosen) {
            compute_dtype = chosen == "bf16" ? at::kBFloat16 : at::kFloat;
          },
          "Number type of the computation (fp32)")
      ->check(allowed_values(field_named(TrainingConfig().fields(), "precision")));
}

void add_device_flag(CLI::App& command, std::string& device) {
  command
      .add_option("--device", device,
                  "Where to compute (cpu); auto: on a GPU if there is one; cuda:K: on GPU K")
      ->check(allowed_values(field_named(TrainingConfig().fields(), "device")));
}

void add_max_loops_flag(CLI::App& command, FieldTarget budget) {
  const bool is_list = std::holds_alternative<IntOrList*>(budget);
  auto* option = add_setting_flag(
      command, Field("max_loops", budget,
                     is_list ? "loop budgets, with commas between, each giving one result; 0, the "
                               "default: each layer's own N"
                             : "loop budget; 0, the default: each layer's own N")
                   .range(0, kMaxLoops));
  if (is_list) {
    comma_separated(option);
  }
}

int64_t trained_length(const std::string& directory, const ModelConfig& config) {
  const auto run = std::filesystem::path(directory) / "run.toml";
  return std::filesystem::exists(run) ? std::min(load_stored_run(run).training.sequence_length,
                                                 config.max_position_embeddings)
                                      : config.max_position_embeddings;
}

void add_exit_flags(CLI::App& command, InferenceSettings& settings) {
  for (const auto& field : settings.fields()) {
    if (field.name != "max_loops") {  // a flag of its own, a list in some commands
      add_setting_flag(command, field)->capture_default_str();
    }
  }
}

}  // namespace loopbank::cli
