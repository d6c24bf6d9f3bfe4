#include "loopbank/cli/inference_flags.h"

#include <map>
#include <string>

namespace loopbank::cli {

void add_model_directory(CLI::App& command, std::string& directory) {
  command
      .add_option("MODEL_DIR", directory,
                  "Folder with config.json, model.safetensors and tokenizer.json")
      ->required();
}

void add_precision_flag(CLI::App& command, at::ScalarType& compute_dtype) {
  command
      .add_option_function<std::string>(
          "--precision",
          [&compute_dtype](const std::string& name) {
            compute_dtype = name == "bf16" ? at::kBFloat16 : at::kFloat;
          },
          "Number type of the computation: fp32 or bf16 (fp32)")
      ->check(CLI::IsMember({"fp32", "bf16"}));
}

}  // namespace loopbank::cli
