/// loopbank data make-benchmark: the embedded benchmark as files.

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "loopbank/benchmark/benchmark.h"
#include "loopbank/cli/data_command.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/study/study_config.h"

namespace loopbank::cli {
namespace {

struct MakeBenchmarkFlags {
  BenchmarkSettings settings;
  uint64_t seed = BenchmarkOptions().seed;
  std::string out;
  bool json = false;
};

void run_make_benchmark(const MakeBenchmarkFlags& flags) {
  const auto benchmark = make_benchmark(flags.settings.with_seed(flags.seed));
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
  command->add_option("--out", flags->out, "Folder for the files")->required();
  command->add_option("--seed", flags->seed, "Another seed gives another world")
      ->capture_default_str();
  for (const auto& field : flags->settings.fields()) {
    add_setting_flag(*command, field)->capture_default_str();
  }
  command->add_flag("--json", flags->json, "Options and counts as JSON on stdout");
  command->callback([flags] { run_make_benchmark(*flags); });
}

}  // namespace loopbank::cli
