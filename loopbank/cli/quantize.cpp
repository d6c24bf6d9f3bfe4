/// loopbank quantize MODEL_DIR: the model with weights of 8 or 4 bit, in a folder of its own.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "loopbank/cli/command.h"
#include "loopbank/cli/inference_flags.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/dissect/quantization_error.h"
#include "loopbank/dissect/text_rows.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/interop/companions.h"
#include "loopbank/model/weights.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/log.h"
#include "loopbank/support/new_folder.h"

namespace loopbank::cli {
namespace {

namespace fs = std::filesystem;

struct QuantizeFlags {
  std::string model;
  int64_t bits = 0;
  std::string out;
  std::string text;
  int64_t limit_tokens = 8192;
  bool json = false;
};

/// What the bits cost on the text that was given.
void report_error(const QuantizeFlags& flags, const InferenceModel& loaded) {
  const auto length = trained_length(flags.model, loaded.model.config());
  const auto text = read_text_rows(flags.text, loaded.tokenizer,
                                   std::max<int64_t>(1, flags.limit_tokens / length),
                                   std::min(length, flags.limit_tokens));
  const auto error = measure_quantization(
      loaded.model, text.rows, bytes_of_targets(text.rows, loaded.tokenizer), flags.bits);
  if (flags.json) {
    fmt::print("{}\n", to_json(error).dump());
    return;
  }
  fmt::print("{} tokens, {} bit against bf16\n", error.tokens, error.bits);
  fmt::print("  BPB               {:.4f}, {:.4f} in bf16 ({:+.3f} %)\n", error.bpb, error.bpb_bf16,
             100.0 * (error.bpb / error.bpb_bf16 - 1.0));
  fmt::print("  KL                {:.2e} nats\n", error.kl);
  fmt::print("  top-1 agreement   {:.2f} %\n", 100.0 * error.top1_agreement);
}

void run_quantize(const QuantizeFlags& flags) {
  const auto out = expect_new_folder(flags.out);
  const auto loaded = load_inference_model(flags.model);
  if (const auto bits = loaded.model.config().quantization_bits; bits != 0) {
    fail(ErrorCode::kConfig,
         "{}: expected a model in floating point, got one of {} bits (\"quantization_bits\"). "
         "Quantize the model that it was made from.",
         flags.model, bits);
  }
  if (out.has_parent_path()) {
    create_directories(out.parent_path(), ErrorCode::kCheckpoint);
  }
  AtomicDirectory folder(out);
  save_model(loaded.model, folder.path(), flags.bits);
  copy_companions(flags.model, folder.path());
  folder.commit();
  const auto weights = [](const fs::path& of) {
    return static_cast<double>(fs::file_size(of / "model.safetensors")) / 1e6;
  };
  log_info("{}: {} bit, {:.1f} MB of weights ({:.1f} MB before)", flags.out, flags.bits,
           weights(out), weights(flags.model));
  if (!flags.text.empty()) {
    report_error(flags, loaded);
  }
}

CLI::Validator eight_or_four() {
  return {[](const std::string& bits) {
            return bits == "8" || bits == "4" ? ""
                                              : fmt::format("expected 8 or 4, got \"{}\".", bits);
          },
          "{8,4}"};
}

}  // namespace

void add_quantize(CLI::App& app) {
  auto* command = app.add_subcommand("quantize", "A model's weights in 8 or 4 bit, for inference");
  const auto flags = std::make_shared<QuantizeFlags>();
  add_model_directory(*command, flags->model);
  command->add_option("--bits", flags->bits, "Bits of a weight: 8 or 4")
      ->check(eight_or_four())
      ->required();
  command->add_option("--out", flags->out, "A new folder for the model")->required();
  auto* text =
      command->add_option("--text", flags->text,
                          "A text to measure on what the bits cost: .jsonl (field text) or "
                          ".txt, plain, .gz or .zst");
  add_setting_flag(*command,
                   Field("limit_tokens", &flags->limit_tokens, "tokens of the text").minimum(2))
      ->capture_default_str()
      ->needs(text);
  command->add_flag("--json", flags->json, "What was measured as one line of JSON on stdout")
      ->needs(text);
  command->callback([flags] { run_quantize(*flags); });
}

}  // namespace loopbank::cli
