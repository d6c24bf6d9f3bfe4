/// loopbank data make-benchmark: the embedded benchmark as files.

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "loopbank/benchmark/benchmark.h"
#include "loopbank/cli/data_command.h"
#include "loopbank/support/error.h"

namespace loopbank::cli {
namespace {

struct MakeBenchmarkFlags {
  BenchmarkOptions options;
  std::vector<std::string> kinds;
  std::string out;
  bool json = false;
};

void run_make_benchmark(const MakeBenchmarkFlags& flags) {
  auto options = flags.options;
  if (!flags.kinds.empty()) {
    options.reasoning.kinds.clear();
    for (const auto& kind : flags.kinds) {
      options.reasoning.kinds.push_back(parse_reasoning_range(kind));
    }
  }
  const auto benchmark = make_benchmark(options);
  write_benchmark(benchmark, flags.out);
  const auto description = describe(benchmark);
  if (flags.json) {
    fmt::print("{}\n", description.dump(2));
    return;
  }
  fmt::print("{}: {} training documents ({} bytes), {} questions on facts, {} on problems\n",
             flags.out, benchmark.training_documents.size(),
             description["training"]["bytes"].get<int64_t>(), benchmark.facts.size(),
             benchmark.reasoning.size());
}

}  // namespace

void add_data_make_benchmark(CLI::App& data) {
  auto* command =
      data.add_subcommand("make-benchmark", "The embedded benchmark: text to train on, questions");
  const auto flags = std::make_shared<MakeBenchmarkFlags>();
  auto& options = flags->options;
  const auto add = [&](const char* name, auto& value, const char* what) {
    command->add_option(name, value, what)->capture_default_str();
  };
  command->add_option("--out", flags->out, "Folder for the files")->required();
  add("--seed", options.seed, "Another seed is another world");
  add("--people", options.facts.num_people, "Invented people, with 4 facts each");
  add("--places", options.facts.num_places, "Invented towns, with 4 facts each");
  add("--values", options.facts.values_per_attribute, "Different values of an attribute");
  add("--wordings", options.facts.wordings_per_fact, "Statements of each fact");
  add("--asked-share", options.facts.asked_share, "Entities whose questions are trained on");
  add("--question-share", options.facts.question_share, "Questions in the text on facts, of bytes");
  command->add_option("--kinds", flags->kinds,
                      "Problems, as KIND:MIN-MAX: addition, sum, chain, comparison, product");
  add("--held-out-share", options.reasoning.held_out_share, "Problems never trained on");
  add("--instances", options.num_eval_instances, "Questions of each part, at most");
  add("--facts-share", options.facts_share, "Facts in the training text, of bytes");
  add("--training-bytes", options.training_bytes, "Size of the training text");
  add("--validation-bytes", options.validation_bytes, "Size of the validation text");
  command->add_flag("--json", flags->json, "Options and counts as JSON on stdout");
  command->callback([flags] { run_make_benchmark(*flags); });
}

}  // namespace loopbank::cli
