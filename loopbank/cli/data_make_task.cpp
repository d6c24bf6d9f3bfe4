/// loopbank data make-task: a synthetic task as files.

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "loopbank/benchmark/synthetic.h"
#include "loopbank/cli/data_command.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/support/json.h"

namespace loopbank::cli {
namespace {

struct MakeTaskFlags {
  SyntheticOptions options;
  std::string out;
  bool json = false;
};

void run_make_task(const MakeTaskFlags& flags) {
  const auto generated = make_synthetic(flags.options);
  write_generated(generated, flags.out, "task.json");
  auto description = parse_json<nlohmann::ordered_json>(generated.description, flags.options.task);
  description["training_documents"] = generated.training_documents.size();
  for (const auto& task : generated.tasks) {
    description["questions"][task.name] = task.instances.size();
  }
  if (flags.json) {
    fmt::print("{}\n", description.dump(2));
    return;
  }
  fmt::print("{}: {} training documents ({} bytes)\n", flags.out,
             generated.training_documents.size(), size_of(generated.training_documents));
  for (const auto& task : generated.tasks) {
    fmt::print("{}.jsonl: {} questions\n", task.name, task.instances.size());
  }
}

}  // namespace

void add_data_make_task(CLI::App& data) {
  auto* command = data.add_subcommand(
      "make-task", "A task of the literature (docs/tasks.md): text to train on, questions");
  const auto flags = std::make_shared<MakeTaskFlags>();
  command->add_option("--out", flags->out, "Folder for the files")->required();
  command->add_option("--seed", flags->options.seed, "Another seed gives other problems")
      ->capture_default_str();
  for (const auto& field : flags->options.fields()) {
    auto* flag = add_setting_flag(*command, field)->capture_default_str();
    if (field.name == "task") {
      flag->required();
    }
  }
  command->add_flag("--json", flags->json, "Options and counts as JSON on stdout");
  command->callback([flags] { run_make_task(*flags); });
}

}  // namespace loopbank::cli
