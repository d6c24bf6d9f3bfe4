/// loopbank inspect MODEL_DIR: what a model's memory banks do on a text.

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/cli/command.h"
#include "loopbank/cli/data_command.h"
#include "loopbank/cli/inference_flags.h"
#include "loopbank/cli/runtime.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/dissect/memory_report.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/log.h"
#include "loopbank/support/progress.h"
#include "loopbank/train/device.h"

namespace loopbank::cli {
namespace {

struct InspectFlags {
  std::string model;
  std::string device = "cpu";
  std::string text;
  std::string out;
  std::vector<std::string> ablate = {"bank", "slots"};
  InspectOptions options;
  bool json = false;
};

/// Every token keeps its place in memory, and its slots.
constexpr double kMostTokens = 1e8;

void apply_ablate(const std::vector<std::string>& names, InspectOptions& options) {
  const auto named = [&](const char* name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (named("none") && names.size() > 1) {
    fail(ErrorCode::kConfig, "--ablate: expected none alone, or bank and slots, got {} names.",
         names.size());
  }
  options.ablate_banks = named("bank");
  options.ablate_slots = named("slots");
}

void run_inspect(InspectFlags flags) {
  apply_ablate(flags.ablate, flags.options);
  auto loaded = load_inference_model(flags.model, choose_device(flags.device, "--device"));
  Progress progress;
  if (!runtime_settings().quiet) {
    flags.options.on_progress = [&](int64_t done, int64_t total) {
      progress.update(done == 0 ? std::string("reading the text")
                                : fmt::format("pass {} of {} over the text", done + 1, total));
    };
  }
  auto report = inspect_memory(loaded, flags.text, flags.options);
  report.model = flags.model;
  progress.finish();
  if (report.num_skipped > 0) {
    log_warning("{}: {} lines that are no document were passed over", flags.text,
                report.num_skipped);
  }
  note_skipped_lines(report.num_skipped);
  const auto json = to_json(report).dump(2) + "\n";
  if (!flags.out.empty()) {
    write_file_atomically(flags.out, json);
    log_info("the report as JSON in {}", flags.out);
  }
  fmt::print("{}", flags.json ? json : format_report(report));
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto* command = app.add_subcommand(
      "inspect",
      "Which memory slots a model reads on a text, what they say and what they are worth");
  const auto flags = std::make_shared<InspectFlags>();
  auto& options = flags->options;
  add_model_directory(*command, flags->model);
  add_device_flag(*command, flags->device);
  command->add_option("--text", flags->text, "A text, .jsonl or .parquet file, plain, .gz or .zst")
      ->required();
  add_setting_flag(*command, skip_bad_field(&options.skip_bad));
  add_setting_flag(
      *command,
      Field("tokens", &options.max_tokens, "most tokens of the text to read").range(1, kMostTokens))
      ->capture_default_str();
  add_setting_flag(*command, Field("sequence_length", &options.sequence_length,
                                   "tokens per row (the model's max_position_embeddings)")
                                 .minimum(1));
  add_setting_flag(
      *command,
      Field("slots", &options.num_slots, "slots of each bank to describe in full").minimum(0))
      ->capture_default_str();
  add_setting_flag(
      *command,
      Field("top", &options.num_top, "contexts, tokens and promoted tokens per slot").minimum(1))
      ->capture_default_str();
  comma_separated(add_setting_flag(
      *command, Field("ablate", &flags->ablate,
                      "what to zero to see what it is worth: bank (all of them, and each), slots "
                      "(each that is described in full), none (bank,slots)")
                    .choices({"bank", "slots", "none"})));
  command
      ->add_option("--zero", options.zero,
                   "all, BANK or BANK:SLOT[,SLOT...] to zero as well, such as layer0:12; may be "
                   "given several times")
      ->allow_extra_args(false);
  command
      ->add_option("--swap", options.swap,
                   "BANK:SLOT,SLOT, two slots whose values to exchange; may be given several times")
      ->allow_extra_args(false);
  add_max_loops_flag(*command, &options.max_loops);
  command->add_option("--out", flags->out, "FILE.json to write the whole report to");
  command->add_flag("--json", flags->json, "The whole report as JSON on stdout");
  command->callback([flags] { run_inspect(*flags); });
}

}  // namespace loopbank::cli
