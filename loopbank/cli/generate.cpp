/// loopbank generate MODEL_DIR: text from a prompt, shown as it comes, or from a file of prompts.

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "loopbank/cli/command.h"
#include "loopbank/cli/generate_requests.h"
#include "loopbank/cli/inference_flags.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/cli/stop_signal.h"
#include "loopbank/infer/completion_file.h"
#include "loopbank/infer/generator.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/log.h"
#include "loopbank/support/stopwatch.h"
#include "loopbank/train/device.h"

namespace loopbank::cli {
namespace {

struct GenerateFlags {
  std::string model;
  std::string device = "cpu";
  std::string prompt;
  std::string prompt_file;
  std::string prompts;
  std::string out;
  CompletionRequest request;  ///< of one prompt, and the defaults of a file's
  bool streams = true;
  bool json = false;
};

/// What all completions of a call took.
struct GenerateCost {
  Stopwatch watch;
  int64_t tokens = 0;
  int64_t completions = 0;
  double loops = 0.0;

  void add(const Generation& generation) {
    tokens += static_cast<int64_t>(generation.tokens.size());
    loops += generation.mean_loops;
    ++completions;
  }
  [[nodiscard]] double tokens_per_second() const {
    return static_cast<double>(tokens) / watch.seconds();
  }
  [[nodiscard]] double mean_loops() const {
    return completions == 0 ? 0.0 : loops / static_cast<double>(completions);
  }
};

std::string read_prompt(const GenerateFlags& flags) {
  if (flags.prompt_file == "-") {
    return {std::istreambuf_iterator<char>(std::cin), {}};
  }
  return flags.prompt_file.empty() ? flags.prompt : read_file(flags.prompt_file);
}

/// Nobody reads stdout any more: stop.
bool show(std::string_view text) {
  fmt::print("{}", text);
  return std::fflush(stdout) == 0;
}

std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// --prompts: completions go to a file, a line each.
void run_file(const GenerateFlags& flags, Generator& generator) {
  const auto requests = read_completion_requests(flags.prompts, flags.request);
  CompletionLog log(flags.out, requests);
  if (log.num_done() > 0) {
    log_info("{}: {} completions are there already", flags.out, log.num_done());
  }
  watch_signals();
  GenerateCost cost;
  run_requests(
      generator, requests,
      {.is_done = [&](const auto& request, int64_t index) { return log.is_done(request, index); },
       .take_text = [](std::string_view) { return stop_signal() == 0; },
       .take =
           [&](const auto& request, const Generation& generation) {
             if (generation.stop_reason == StopReason::kCancelled) {
               return false;  // half of it is not worth keeping
             }
             log.append(request, generation.completion, generation);
             cost.add(generation);
             return stop_signal() == 0;
           }});
  log_info("{}: {} completions, {} new, {:.1f} tokens a second, {:.2f} loops a token", flags.out,
           log.num_done(), cost.completions, cost.tokens_per_second(), cost.mean_loops());
  if (stop_signal() != 0) {
    end_by_signal();
  }
}

void print_json(const std::string& prompt, const std::vector<Generation>& generations,
                double tokens_per_second) {
  nlohmann::ordered_json json = {{"prompt", prompt}};
  if (generations.size() == 1) {
    json.update(to_json(generations.front()));
  } else {
    auto& list = json["completions"] = nlohmann::ordered_json::array();
    for (const auto& generation : generations) {
      list.push_back(to_json(generation));
    }
  }
  json["tokens_per_second"] = tokens_per_second;
  fmt::print("{}\n", dump(json));
}

/// One prompt: its completions go to stdout.
/// @param most_tokens  that the model reads
void run_prompt(const GenerateFlags& flags, Generator& generator, int64_t most_tokens) {
  auto request = flags.request;
  const auto prompt = read_prompt(flags);
  request.prompt = prompt;
  std::vector<Generation> generations;
  GenerateCost cost;
  const bool shows = !flags.json;
  const bool streams = shows && flags.streams && request.n == 1;
  CompletionHandlers handlers;
  if (streams) {
    handlers.take_text = show;
  }
  handlers.take = [&](const auto&, const Generation& generation) {
    cost.add(generation);
    generations.push_back(generation);
    return !streams || show("\n");
  };
  run_requests(generator, {request}, handlers);
  std::sort(generations.begin(), generations.end(),
            [](const auto& a, const auto& b) { return a.completion < b.completion; });
  for (const auto& generation : generations) {
    if (shows && !streams && !show(generation.text + "\n")) {
      return;
    }
  }
  if (flags.json) {
    print_json(prompt, generations, cost.tokens_per_second());
    return;
  }
  for (const auto& generation : generations) {
    if (generation.stop_reason == StopReason::kContextFull) {
      log_info("stopped: the model reads at most {} tokens (max_position_embeddings)", most_tokens);
      break;
    }
  }
  log_info("{} tokens, {:.1f} a second, {:.2f} loops a token", cost.tokens,
           cost.tokens_per_second(), cost.mean_loops());
}

void run_generate(const GenerateFlags& flags) {
  const auto loaded = load_inference_model(flags.model, choose_device(flags.device, "--device"));
  Generator generator(loaded.model, loaded.tokenizer,
                      {.compute_dtype = flags.request.compute_dtype});
  if (flags.prompts.empty()) {
    run_prompt(flags, generator, loaded.model.config().max_position_embeddings);
  } else {
    run_file(flags, generator);
  }
}

void add_prompt_flags(CLI::App& command, GenerateFlags& flags) {
  auto* group = command.add_option_group("Prompt", "One of these");
  group->add_option("--prompt", flags.prompt, "The text to continue; may be empty");
  group->add_option("--prompt-file", flags.prompt_file,
                    "A file with the text to continue; - reads stdin");
  auto* prompts = group->add_option("--prompts", flags.prompts,
                                    "A .jsonl file: {\"prompt\": ..., \"max_tokens\": ...} a line");
  group->require_option(1);
  auto* out = command.add_option(
      "--out", flags.out, "The .jsonl file of completions of --prompts; one that is there goes on");
  out->needs(prompts);
  prompts->needs(out);
}

}  // namespace

void add_generate(CLI::App& app) {
  auto* command = app.add_subcommand("generate", "Continue a prompt, text on stdout as it comes");
  const auto flags = std::make_shared<GenerateFlags>();
  add_model_directory(*command, flags->model);
  add_device_flag(*command, flags->device);
  add_prompt_flags(*command, *flags);
  for (const auto& field : flags->request.fields()) {
    auto* option = add_setting_flag(*command, field);
    if (field.name == "logit_bias") {
      comma_separated(option);
    } else if (field.name == "stop") {
      option->allow_extra_args(false);  // one a flag: what stands behind it is another argument
    } else {
      option->capture_default_str();
    }
  }
  add_precision_flag(*command, flags->request.compute_dtype);
  command->add_flag("--stream,!--no-stream", flags->streams,
                    "Show text as it comes (default), or each completion when it is whole");
  command->add_flag("--json", flags->json, "The whole result as JSON on stdout, at the end");
  command->callback([flags] { run_generate(*flags); });
}

}  // namespace loopbank::cli
