#include "loopbank/interop/import.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "loopbank/interop/companions.h"
#include "loopbank/interop/hf_config.h"
#include "loopbank/interop/hf_weights.h"
#include "loopbank/model/weights.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/new_folder.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

void check_source(const fs::path& directory) {
  if (!fs::is_directory(directory)) {
    fail(ErrorCode::kCheckpoint,
         "{}: expected a folder with config.json, weights and tokenizer.json, got {}. A model "
         "of the Hugging Face hub must be downloaded first: hf download NAME --local-dir DIR.",
         directory.string(), fs::exists(directory) ? "a file" : "no such folder");
  }
  if (!fs::exists(directory / "config.json")) {
    fail(ErrorCode::kCheckpoint, "{}: expected a config.json there, got none.{}",
         directory.string(),
         fs::exists(directory / "adapter_config.json")
             ? " An adapter must be merged into its model first."
             : "");
  }
}

/// The tokenizer must be one that is read, with ids that the embedding holds.
void check_tokenizer(const fs::path& directory, const ModelConfig& config) {
  if (!fs::exists(directory / "tokenizer.json")) {
    const bool has_model = fs::exists(directory / "tokenizer.model");
    fail(ErrorCode::kData,
         "{}: expected a tokenizer.json, got {}. Open the tokenizer with transformers and save it: "
         "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR) writes one.",
         directory.string(), has_model ? "tokenizer.model alone, which is not read" : "none");
  }
  const auto tokenizer = Tokenizer::load(directory);
  if (tokenizer.vocab_size() > config.vocab_size) {
    fail(ErrorCode::kData,
         "{}: expected ids below \"vocab_size\" {} of config.json, got a tokenizer of {} ids. Take "
         "the tokenizer that belongs to the model.",
         (directory / "tokenizer.json").string(), config.vocab_size, tokenizer.vocab_size());
  }
}

bool adds_anything(const UpcycleOptions& options) {
  return options.max_loops.is_list || options.max_loops.values != std::vector<int64_t>{0} ||
         options.local_slots > 0 || options.global_slots > 0;
}

}  // namespace

ImportedModel load_hf_model(const fs::path& directory) {
  check_source(directory);
  const auto read = read_hf_config(directory);
  ImportReport report;
  report.family = read.family->model_type;
  report.config = read.model;
  report.ignored_keys = read.ignored;
  report.notes = read.notes;
  if (read.model.quantization_bits != 0) {
    fail(ErrorCode::kConfig,
         "{}: expected a model in floating point, got one of {} bits (\"quantization_bits\"). "
         "Import the model that it was made from.",
         directory.string(), read.model.quantization_bits);
  }
  const auto checkpoint = map_checkpoint(directory);
  LanguageModel model(read.model);
  auto weights = set_hf_weights(model, *read.family, checkpoint, directory.string());
  report.stored_type = weights.stored_type;
  report.num_files = static_cast<int64_t>(checkpoint.files.size());
  report.read_parameters = model.parameters().count();
  report.ignored_tensors = std::move(weights.ignored);
  if (weights.stored_tied_head) {
    report.notes.emplace_back(
        "lm_head.weight was stored beside the equal embedding, and is not kept");
  }
  return {std::move(model), std::move(report)};
}

ImportReport import_model(const fs::path& directory, const fs::path& out,
                          const UpcycleOptions& options) {
  const auto target = expect_new_folder(out);
  auto [model, report] = load_hf_model(directory);
  check_tokenizer(directory, model.config());
  std::optional<LanguageModel> grown;
  if (adds_anything(options)) {
    grown.emplace(upcycled(model, options));
    report.added_parameters = grown->parameters().count() - report.read_parameters;
    report.config = grown->config();
  }
  if (target.has_parent_path()) {
    create_directories(target.parent_path(), ErrorCode::kCheckpoint);
  }
  AtomicDirectory folder(target);
  save_model(grown ? *grown : model, folder.path());
  report.copied_files = copy_companions(directory, folder.path());
  folder.commit();
  if (fs::exists(directory / "chat_template.jinja") && !fs::exists(directory / "chat.toml")) {
    report.notes.emplace_back(
        "chat_template.jinja is kept for others; `loopbank serve` reads a chat.toml");
  }
  return report;
}

nlohmann::ordered_json to_json(const ImportReport& report) {
  return {{"family", report.family},
          {"stored_type", report.stored_type},
          {"files", report.num_files},
          {"layers", report.config.num_hidden_layers},
          {"parameters", report.read_parameters + report.added_parameters},
          {"added_parameters", report.added_parameters},
          {"ignored_keys", report.ignored_keys},
          {"ignored_tensors", report.ignored_tensors},
          {"notes", report.notes},
          {"copied_files", report.copied_files},
          {"config", to_json(report.config)}};
}

}  // namespace loopbank
