#pragma once
/// What a model trains on and is asked where the program makes both: the common form of the embedded
/// benchmark (benchmark/benchmark.h) and of the synthetic tasks (benchmark/synthetic.h).

#include <filesystem>
#include <string>
#include <vector>

#include "loopbank/benchmark/benchmark_instance.h"

namespace loopbank {

/// Questions that are scored together.
struct GeneratedTask {
  std::string name;
  std::vector<BenchmarkInstance> instances;
};

struct Generated {
  std::vector<std::string> training_documents;
  std::vector<std::string> validation_documents;  ///< never trained on
  std::vector<GeneratedTask> tasks;
  std::string description;         ///< options and counts: JSON text
  bool symbols_are_bytes = false;  ///< what is to be one token is one byte: no merges are learned
};

/// Bytes of all documents together.
[[nodiscard]] int64_t size_of(const std::vector<std::string>& documents);

/// Writes train.jsonl and validation.jsonl ({"text"} lines), TASK.jsonl for each task (in the form that
/// eval/task_files.h reads) and `description_name` into a folder, which is created if it does not
/// exist. Each file is written atomically.
/// @throws Error kData where a file cannot be written
void write_generated(const Generated& generated, const std::filesystem::path& directory,
                     const std::string& description_name);

}  // namespace loopbank
