#include "loopbank/benchmark/generated.h"

#include <nlohmann/json.hpp>

#include "loopbank/support/files.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

std::string text_lines(const std::vector<std::string>& documents) {
  std::string lines;
  for (const auto& document : documents) {
    lines += Json{{"text", document}}.dump() + "\n";
  }
  return lines;
}

std::string instance_lines(const std::vector<BenchmarkInstance>& instances) {
  std::string lines;
  for (const auto& instance : instances) {
    Json line = {{"task", instance.task},
                 {"id", instance.id},
                 {"split", "test"},
                 {"kind", instance.kind},
                 {"difficulty", instance.difficulty},
                 {"context", instance.context},
                 {"choices", instance.choices},
                 {"label", instance.label}};
    if (!instance.steps.empty()) {
      line["steps"] = instance.steps;
    }
    if (instance.prior_bits > 0.0) {
      line["prior_bits"] = instance.prior_bits;
    }
    lines += line.dump() + "\n";
  }
  return lines;
}

}  // namespace

int64_t size_of(const std::vector<std::string>& documents) {
  int64_t bytes = 0;
  for (const auto& document : documents) {
    bytes += static_cast<int64_t>(document.size());
  }
  return bytes;
}

void write_generated(const Generated& generated, const std::filesystem::path& directory,
                     const std::string& description_name) {
  loopbank::create_directories(directory);
  write_file_atomically(directory / "train.jsonl", text_lines(generated.training_documents));
  write_file_atomically(directory / "validation.jsonl", text_lines(generated.validation_documents));
  for (const auto& task : generated.tasks) {
    write_file_atomically(directory / (task.name + ".jsonl"), instance_lines(task.instances));
  }
  write_file_atomically(directory / description_name, generated.description + "\n");
}

}  // namespace loopbank
