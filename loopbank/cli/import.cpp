/// loopbank import HF_DIR: a model of Hugging Face's layout as a model directory, with loops and
/// memory if asked for.

#include "loopbank/interop/import.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "loopbank/cli/command.h"
#include "loopbank/cli/setting_flags.h"

namespace loopbank::cli {
namespace {

struct ImportFlags {
  std::string source;
  std::string out;
  UpcycleOptions options;
  bool json = false;
};

void show_import(const ImportReport& report, const std::string& out) {
  const auto& config = report.config;
  fmt::print("{}: {}, {} layers, {:.1f} M parameters ({} in {} {})\n", out, report.family,
             config.num_hidden_layers, static_cast<double>(report.read_parameters) / 1e6,
             report.stored_type, report.num_files, report.num_files == 1 ? "file" : "files");
  if (report.added_parameters > 0) {
    fmt::print("  added             {:.2f} M parameters: {} loops, {} local and {} global slots\n",
               static_cast<double>(report.added_parameters) / 1e6,
               fmt::join(config.max_loops.values, ","), config.local_memory_slots,
               config.global_memory_slots);
  }
  fmt::print("  with              {}\n", fmt::join(report.copied_files, ", "));
  if (!report.ignored_keys.empty()) {
    fmt::print("  keys not read     {}\n", fmt::join(report.ignored_keys, ", "));
  }
  if (!report.ignored_tensors.empty()) {
    fmt::print("  tensors not read  {}\n", fmt::join(report.ignored_tensors, ", "));
  }
  for (const auto& note : report.notes) {
    fmt::print("  note              {}\n", note);
  }
}

void run_import(const ImportFlags& flags) {
  auto options = flags.options;
  options.max_loops.is_list = options.max_loops.values.size() > 1;
  const auto report = import_model(flags.source, flags.out, options);
  if (flags.json) {
    fmt::print("{}\n", to_json(report).dump());
  } else {
    show_import(report, flags.out);
  }
}

}  // namespace

void add_import(CLI::App& app) {
  auto* command = app.add_subcommand(
      "import",
      "A model of Hugging Face's layout (Llama, Mistral, Qwen, HunYuan), with loops added");
  const auto flags = std::make_shared<ImportFlags>();
  command->add_option("HF_DIR", flags->source, "Folder with config.json, safetensors, tokenizer")
      ->required();
  command->add_option("--out", flags->out, "A new folder for the model")->required();
  ModelConfig config;
  const auto fields = config.fields();
  const auto add_flag = [&](const char* key, FieldTarget target, const char* name) {
    auto field = field_named(fields, key);
    field.target = target;
    return add_setting_flag(*command, field, name);
  };
  comma_separated(add_flag("max_loops", &flags->options.max_loops, "--max-loops"));
  add_flag("local_memory_slots", &flags->options.local_slots, "--local-slots");
  add_flag("global_memory_slots", &flags->options.global_slots, "--global-slots");
  add_flag("memory_gate_bias_init", &flags->options.gate_init, "--gate-init");
  command->add_option("--seed", flags->options.seed, "Seed of the new parameters")
      ->capture_default_str();
  command->add_flag("--json", flags->json, "What was read and added as one line of JSON on stdout");
  command->callback([flags] { run_import(*flags); });
}

}  // namespace loopbank::cli
