#include "loopbank/cli/inference_flags.h"

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

void add_exit_flag(CLI::App& command, ExitChoice& exit) {
  command.add_option_function<std::string>(
      "--exit", [&exit](const std::string& rule) { exit = ExitChoice::parse(rule, "--exit"); },
      "When tokens leave a layer: all (default), cdf:Q, router:P, change:E, accel:E, budget:N, "
      "each also with \",hard\" behind it");
}

void add_key_value_flag(CLI::App& command, const KeyValuePolicy*& policy) {
  command.add_option_function<std::string>(
      "--kv", [&policy](const std::string& name) { policy = &key_value_policy(name, "--kv"); },
      "Keys and values where tokens left early: full (default), recompute, copy, last, first or "
      "mixture");
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

}  // namespace loopbank::cli
