#include "loopbank/cli/eval_compare.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "loopbank/cli/setting_flags.h"
#include "loopbank/eval/compare.h"

namespace loopbank::cli {
namespace {

struct CompareFlags {
  std::string a;
  std::string b;
  CompareOptions options;
  bool json = false;
};

void run_compare(const CompareFlags& flags) {
  const auto comparison = compare_results(flags.a, flags.b, flags.options);
  if (flags.json) {
    fmt::print("{}\n", to_json(comparison).dump(2));
  } else {
    fmt::print("{}", describe(comparison));
  }
}

}  // namespace

void add_eval_compare(CLI::App& eval) {
  auto* command = eval.add_subcommand(
      "compare", "Difference of two result folders over the same documents, by paired bootstrap");
  const auto flags = std::make_shared<CompareFlags>();
  command->add_option("A", flags->a, "Folder written by eval --out")->required();
  command->add_option("B", flags->b, "Another one, of the same tasks and documents")->required();
  add_setting_flag(*command, Field("resamples", &flags->options.resamples,
                                   "bootstrap resamples of the documents")
                                 .minimum(1))
      ->capture_default_str();
  command->add_option("--seed", flags->options.seed, "Seed of the resamples")
      ->capture_default_str();
  command->add_flag("--json", flags->json, "The comparison as JSON on stdout");
  // Words go to a positional that is required before they are taken for a subcommand.
  eval.get_option("MODEL_DIR")->required(false);
  command->preparse_callback([&eval](size_t) {
    for (auto* option : eval.get_options()) {
      option->required(false);  // a model and tasks belong to `eval` alone
    }
  });
  command->callback([flags] { run_compare(*flags); });
}

}  // namespace loopbank::cli
