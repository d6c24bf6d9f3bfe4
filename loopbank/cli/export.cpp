/// loopbank export MODEL_DIR: the model as a folder that transformers opens.

#include "loopbank/interop/export.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "loopbank/cli/command.h"
#include "loopbank/cli/inference_flags.h"
#include "loopbank/model/config.h"
#include "loopbank/support/byte_size.h"
#include "loopbank/support/error.h"
#include "loopbank/support/log.h"

namespace loopbank::cli {
namespace {

struct ExportFlags {
  std::string model;
  std::string to;
  std::string out;
  std::string dtype = "fp32";
  std::string shard_size = "5GB";
  bool json = false;
};

at::ScalarType stored_type(const std::string& name) {
  return name == "bf16" ? at::kBFloat16 : name == "fp16" ? at::kHalf : at::kFloat;
}

void run_export(const ExportFlags& flags) {
  ExportOptions options{
      .dtype = stored_type(flags.dtype),
      .shard_bytes = static_cast<int64_t>(parse_bytes("--shard-size", flags.shard_size)),
      .longest_text = 0};
  const auto config = std::filesystem::path(flags.model) / "config.json";
  if (std::filesystem::exists(config)) {  // otherwise export says what is missing
    options.longest_text = trained_length(flags.model, load_config(config));
  }
  const auto report = export_to_hf(flags.model, flags.out, options);
  if (report.quantization_bits != 0) {
    log_info("{}: weights of {} bits are exported as the numbers that they stand for, in {}",
             flags.model, report.quantization_bits, flags.dtype);
  }
  if (flags.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"parameters", report.parameters},
                                              {"bytes", report.bytes},
                                              {"weight_files", report.num_weight_files},
                                              {"files", report.files}}
                           .dump());
    return;
  }
  fmt::print("{}: {:.1f} M parameters in {}, {:.1f} MB in {} {}\n", flags.out,
             static_cast<double>(report.parameters) / 1e6, flags.dtype,
             static_cast<double>(report.bytes) / 1e6, report.num_weight_files,
             report.num_weight_files == 1 ? "file" : "files");
  fmt::print("  AutoModelForCausalLM.from_pretrained(\"{}\", trust_remote_code=True)\n", flags.out);
}

}  // namespace

void add_export(CLI::App& app) {
  auto* command = app.add_subcommand("export", "A model as a folder that transformers opens");
  const auto flags = std::make_shared<ExportFlags>();
  add_model_directory(*command, flags->model);
  command->add_option("--to", flags->to, "hf: Hugging Face transformers, 4.57 and 5")
      ->check(CLI::IsMember({"hf"}))
      ->required();
  command->add_option("--out", flags->out, "A new folder for the model")->required();
  command->add_option("--dtype", flags->dtype, "Type of the stored weights (fp32)")
      ->check(CLI::IsMember({"fp32", "bf16", "fp16"}));
  command->add_option("--shard-size", flags->shard_size,
                      "Most bytes of weights in a file, such as 5GB, the default");
  command->add_flag("--json", flags->json, "What was written as one line of JSON on stdout");
  command->callback([flags] { run_export(*flags); });
}

}  // namespace loopbank::cli
