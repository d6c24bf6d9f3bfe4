#include "loopbank/cli/bench_exit.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loopbank/cli/inference_flags.h"
#include "loopbank/cli/runtime.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/eval/task_files.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/study/exit_log.h"
#include "loopbank/study/exit_page.h"
#include "loopbank/study/exit_study.h"
#include "loopbank/study/exit_words.h"
#include "loopbank/support/files.h"
#include "loopbank/support/folder_lock.h"
#include "loopbank/support/hash.h"
#include "loopbank/support/log.h"
#include "loopbank/support/progress.h"

namespace loopbank::cli {
namespace {

struct ExitFlags {
  std::vector<std::string> models;
  std::string text;
  std::string out;
  std::vector<std::string> tasks;
  std::vector<std::string> data;
  int64_t document_tokens = 0;  // 0: not given
  TaskSource source;
  ExitStudyOptions options;
  bool json = false;
};

constexpr std::string_view kModelPlace = "{model}";

/// A path that may say where it is from a model's folder.
std::string path_for(std::string path, const std::string& model) {
  for (auto at = path.find(kModelPlace); at != std::string::npos;
       at = path.find(kModelPlace, at + model.size())) {
    path.replace(at, kModelPlace.size(), model);
  }
  return path;
}

/// What a model is measured on: seeds of a study have worlds of their own.
struct ExitInputs {
  std::vector<ExitDocument> documents;
  std::vector<Task> tasks;
};

std::vector<Task> tasks_of(const ExitFlags& flags, const std::string& model) {
  if (flags.tasks.empty()) {
    return {};
  }
  if (flags.data.empty()) {
    throw CLI::RequiredError("--data");
  }
  auto source = flags.source;
  for (const auto& directory : flags.data) {
    source.directories.emplace_back(path_for(directory, model));
  }
  return load_tasks(flags.tasks, source);
}

ExitInputs inputs_of(const ExitFlags& flags, const std::string& model, const Tokenizer& tokenizer) {
  return {.documents = read_exit_documents(path_for(flags.text, model), tokenizer, flags.options),
          .tasks = tasks_of(flags, model)};
}

/// Whether all models read the same.
bool share_inputs(const ExitFlags& flags) {
  const auto names_model = [](const std::string& path) {
    return path.find(kModelPlace) != std::string::npos;
  };
  return !names_model(flags.text) &&
         std::none_of(flags.data.begin(), flags.data.end(), names_model);
}

/// One config for all, so that they differ in their weights alone.
/// @return the hash of each one's weights
std::vector<std::string> expect_alike(const std::vector<std::string>& models) {
  const auto first = to_json(load_config(std::filesystem::path(models.front()) / "config.json"));
  std::vector<std::string> hashes;
  for (const auto& model : models) {
    const std::filesystem::path folder(model);
    const auto config = to_json(load_config(folder / "config.json"));
    for (const auto& [key, value] : first.items()) {
      if (config.at(key) != value) {
        fail(ErrorCode::kConfig,
             "bench exit: expected models of one config, got {} {} in {} and {} in {}.", key,
             value.dump(), models.front(), config.at(key).dump(), model);
      }
    }
    const MappedFile weights(folder / "model.safetensors", ErrorCode::kCheckpoint);
    hashes.push_back(format_hash(hash_of(weights.bytes())));
    if (std::find(hashes.begin(), hashes.end() - 1, hashes.back()) != hashes.end() - 1) {
      fail(ErrorCode::kConfig, "bench exit: expected models that differ, got {} twice.", model);
    }
  }
  return hashes;
}

std::string hash_of_documents(const std::vector<ExitInputs>& inputs) {
  Hasher hasher;
  for (const auto& of_model : inputs) {
    for (const auto& document : of_model.documents) {
      hasher.add(&document.prompt, sizeof(document.prompt));
      hasher.add(document.tokens.data(), document.tokens.size() * sizeof(TokenId));
    }
  }
  return format_hash(hasher.hash());
}

void add_tasks(Hasher& hasher, const std::vector<Task>& tasks) {
  for (const auto& task : tasks) {
    hasher.add(task.name);
    for (const auto& instance : task.instances) {
      hasher.add(&instance.label, sizeof(instance.label));
      for (const auto& choice : instance.choices) {
        hasher.add(choice.context);
        hasher.add(choice.continuation);
      }
    }
  }
}

std::string hash_of_tasks(const std::vector<ExitInputs>& inputs) {
  Hasher hasher;
  for (const auto& of_model : inputs) {
    add_tasks(hasher, of_model.tasks);
  }
  return format_hash(hasher.hash());
}

/// Everything that decides the rows.
nlohmann::ordered_json settings_of(const ExitFlags& flags, const std::vector<std::string>& hashes,
                                   const std::vector<ExitInputs>& inputs) {
  const auto& options = flags.options;
  return {{"models", hashes},
          {"text", hash_of_documents(inputs)},
          {"tasks", flags.tasks.empty() ? "" : hash_of_tasks(inputs)},
          {"rules", options.rules},
          {"policies", options.policies},
          {"dtype", options.compute_dtype == at::kBFloat16 ? "bf16" : "fp32"},
          {"threads", at::get_num_threads()},
          {"document_tokens", options.document_tokens},
          {"limit_tokens", options.limit_tokens},
          {"timed_documents", options.timed_documents},
          {"turns", options.turns}};
}

/// Each model's rows, as far as they are not in the log.
std::vector<ExitStudy> measure_models(const ExitFlags& flags, InferenceModel first,
                                      const std::vector<ExitInputs>& inputs, ExitLog& log) {
  std::vector<ExitStudy> studies;
  Progress progress;
  if (log.rules().empty()) {
    log.write_rules(exit_rules_of(first.model, inputs.front().documents, flags.options));
  }
  std::optional<InferenceModel> loaded(std::move(first));
  for (size_t m = 0; m < flags.models.size(); ++m) {
    if (m > 0) {
      const auto hash = loaded->tokenizer.hash();
      loaded.emplace(load_inference_model(flags.models[m]));
      if (share_inputs(flags) && loaded->tokenizer.hash() != hash) {
        fail(ErrorCode::kConfig, "bench exit: expected models of one tokenizer, got another in {}.",
             flags.models[m]);
      }
    }
    const auto place = static_cast<int64_t>(m);
    auto options = flags.options;
    options.rules = log.rules();
    options.measured = log.rows(place);
    options.on_result = [&](const ExitResult& row) { log.append(place, row); };
    if (!runtime_settings().quiet) {
      options.on_progress = [&](int64_t done, int64_t total) {
        progress.update(fmt::format("model {} of {}, row {} of {}", m + 1, flags.models.size(),
                                    done + 1, total));
      };
    }
    const auto& of_model = inputs[std::min(m, inputs.size() - 1)];
    studies.push_back(measure_exits(loaded->model, loaded->tokenizer, of_model.documents,
                                    of_model.tasks, options));
  }
  progress.finish();
  return studies;
}

std::string lead_of(const ExitFlags& flags, const ExitStudy& study,
                    const nlohmann::ordered_json& json) {
  auto lead = fmt::format(
      "{} on {}: {} tokens of {} documents scored{}, in {} on {} thread{}, times of {} documents.",
      fmt::join(flags.models, ", "), flags.text, study.scored_tokens, study.documents,
      scored_by(study), json.at("dtype").get<std::string>(), json.at("threads").get<int>(),
      json.at("threads") == 1 ? "" : "s", study.timed_documents);
  if (study.models > 1) {
    lead += " Figures are means over the models";
    lead += flags.options.rules.empty()
                ? "; thresholds were chosen on the first one and are the same for all."
                : ".";
  }
  return lead;
}

void run_exit(ExitFlags flags) {
  const auto hashes = expect_alike(flags.models);
  auto first = load_inference_model(flags.models.front());
  const auto config = first.model.config();
  flags.options.document_tokens = flags.document_tokens > 0
                                      ? flags.document_tokens
                                      : trained_length(flags.models.front(), config);
  std::vector<ExitInputs> inputs = {inputs_of(flags, flags.models.front(), first.tokenizer)};
  for (size_t m = 1; m < flags.models.size() && !share_inputs(flags); ++m) {
    inputs.push_back(inputs_of(flags, flags.models[m], Tokenizer::load(flags.models[m])));
  }
  const FolderLock lock(flags.out, "measures", ErrorCode::kData);
  ExitLog log(std::filesystem::path(flags.out) / "rows.jsonl", settings_of(flags, hashes, inputs));
  const auto study = combine_exits(measure_models(flags, std::move(first), inputs, log));
  nlohmann::ordered_json json = {
      {"model_folders", flags.models},
      {"text", flags.text},
      {"dtype", flags.options.compute_dtype == at::kBFloat16 ? "bf16" : "fp32"},
      {"threads", at::get_num_threads()},
      {"loops", config.most_loops()},
      {"layers", config.num_hidden_layers},
      {"document_tokens", flags.options.document_tokens},
      {"turns", flags.options.turns}};
  json.update(to_json(study));
  write_files_atomically(
      flags.out, {{"results.json", json.dump(1) + "\n"},
                  {"exit.html", exit_page(study, "loopbank exits", lead_of(flags, study, json))}});
  log_info("results in {}", flags.out);
  fmt::print("{}", flags.json ? json.dump() + "\n" : describe(study));
}

}  // namespace

void add_bench_exit(CLI::App& bench) {
  auto* command =
      bench.add_subcommand("exit", "What stopping early costs, and what it saves: every exit rule");
  const auto flags = std::make_shared<ExitFlags>();
  auto& options = flags->options;
  command
      ->add_option("MODEL_DIR", flags->models,
                   "Folders of models of one config, such as a system's seeds, with config.json, "
                   "model.safetensors and tokenizer.json")
      ->required();
  command
      ->add_option(
          "--text", flags->text,
          "Held-out documents: .jsonl (field text) or .txt, .gz, .zst; {model} in it is each "
          "model's folder")
      ->required();
  command
      ->add_option("--out", flags->out,
                   "Folder for rows.jsonl, results.json and exit.html; continued where it stopped")
      ->required();
  comma_separated(
      command->add_option("--tasks", flags->tasks, "Tasks and suites to be scored by each rule"));
  command
      ->add_option(
          "--data", flags->data,
          "Folder of the tasks' .jsonl files, {model} as above; may be given several times")
      ->allow_extra_args(false);
  add_setting_flag(*command,
                   Field("limit", &flags->source.limit, "questions per task (all)").minimum(1));
  command->add_option("--rules", options.rules,
                      "Rules to compare with all, as --exit takes them, spaces between (a grid)");
  comma_separated(
      command->add_option("--policies", options.policies, "Policies of keys and values (all)"));
  add_precision_flag(*command, options.compute_dtype, "--dtype");
  for (const auto& field :
       {Field("limit_tokens", &options.limit_tokens, "tokens scored").minimum(2),
        Field("timed_documents", &options.timed_documents, "documents that are timed").minimum(1),
        Field("turns", &options.turns, "of each rule and all; the times are medians").minimum(1)}) {
    add_setting_flag(*command, field)->capture_default_str();
  }
  add_setting_flag(*command, Field("document_tokens", &flags->document_tokens,
                                   "tokens read of a document (as in training)")
                                 .minimum(32));
  command->add_flag("--json", flags->json, "results.json as one line on stdout");
  command->callback([flags] { run_exit(*flags); });
}

}  // namespace loopbank::cli
