/// loopbank generate MODEL_DIR: text from a prompt, shown as it comes.

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "loopbank/cli/command.h"
#include "loopbank/cli/inference_flags.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/infer/generator.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/support/log.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank::cli {
namespace {

struct GenerateFlags {
  std::string model;
  std::string prompt;
  GenerateOptions options;
  at::ScalarType compute_dtype = at::kFloat;
  bool json = false;
};

void run_generate(const GenerateFlags& flags) {
  const auto loaded = load_inference_model(flags.model);
  Generator generator(loaded.model, loaded.tokenizer, {.compute_dtype = flags.compute_dtype});
  const Stopwatch watch;
  const auto result = generator.generate(flags.prompt, flags.options, [&](std::string_view piece) {
    if (!flags.json) {
      fmt::print("{}", piece);
      return std::fflush(stdout) == 0;  // nobody reads any more: stop
    }
    return true;
  });
  const double speed = static_cast<double>(result.tokens.size()) / watch.seconds();
  if (flags.json) {
    const nlohmann::ordered_json json = {{"prompt", flags.prompt},
                                         {"text", result.text},
                                         {"tokens", result.tokens},
                                         {"prompt_tokens", result.prompt_tokens},
                                         {"stop_reason", stop_reason_name(result.stop_reason)},
                                         {"mean_loops", result.mean_loops},
                                         {"tokens_per_second", speed}};
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  fmt::print("\n");
  if (result.stop_reason == StopReason::kContextFull) {
    log_info("stopped: the model reads at most {} tokens (max_position_embeddings)",
             loaded.model.config().max_position_embeddings);
  }
  log_info("{} tokens, {:.1f} a second, {:.2f} loops a token", result.tokens.size(), speed,
           result.mean_loops);
}

}  // namespace

void add_generate(CLI::App& app) {
  auto* command = app.add_subcommand("generate", "Continue a prompt, text on stdout as it comes");
  const auto flags = std::make_shared<GenerateFlags>();
  auto& options = flags->options;
  add_model_directory(*command, flags->model);
  command->add_option("--prompt", flags->prompt, "The text to continue; may be empty")->required();
  for (const auto& field :
       {Field("max_tokens", &options.max_tokens, "most tokens to generate").minimum(1),
        Field("temperature", &options.sampling.temperature,
              "divides the logits; 0: always the most probable token")
            .minimum(0.0),
        Field("top_p", &options.sampling.top_p,
              "draw only from the most probable tokens whose probabilities add up to this")
            .range(0.0, 1.0)
            .above(0.0)}) {
    add_setting_flag(*command, field)->capture_default_str();
  }
  command->add_option("--seed", options.seed, "Seed of the draws")->capture_default_str();
  add_max_loops_flag(*command, &options.inference.max_loops);
  add_precision_flag(*command, flags->compute_dtype);
  command->add_flag("--json", flags->json, "The whole result as JSON on stdout, at the end");
  command->callback([flags] { run_generate(*flags); });
}

}  // namespace loopbank::cli
