#pragma once
/// The embedded benchmark: plain English text from a seed, with questions on what the text stated
/// (facts) and on problems like those it solved (reasoning).
///
///     const auto benchmark = make_benchmark({.seed = 1});
///     write_benchmark(benchmark, "runs/demo/data");
///
/// It separates knowledge from manipulation: an evaluated fact was stated in training text, in
/// other words; an evaluated problem never was.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/benchmark/benchmark_instance.h"
#include "loopbank/benchmark/facts.h"
#include "loopbank/benchmark/generated.h"
#include "loopbank/benchmark/reasoning.h"

namespace loopbank {

struct BenchmarkOptions {
  uint64_t seed = 1;
  FactsOptions facts;
  ReasoningOptions reasoning;
  int64_t num_eval_instances = 256;  ///< of each part, at most
  double facts_share = 0.5;          ///< of the bytes of training text; the rest is reasoning
  int64_t training_bytes = 4'000'000;
  int64_t validation_bytes = 100'000;

  /// Key, allowed values and meaning of each option, those of both parts too, but for `seed` and
  /// the kinds of problems.
  [[nodiscard]] std::vector<Field> fields();
};

struct Benchmark {
  BenchmarkOptions options;
  std::vector<std::string> training_documents;
  /// The same world retold, and held-out problems: none of it is trained on, some of it is
  /// evaluated.
  std::vector<std::string> validation_documents;
  std::vector<BenchmarkInstance> facts;
  std::vector<BenchmarkInstance> reasoning;
};

/// Makes the benchmark: the same options give the same benchmark on every machine.
/// @throws Error kConfig for an option outside its range, with both values
[[nodiscard]] Benchmark make_benchmark(const BenchmarkOptions& options);

/// The options and counts, as in benchmark.json.
[[nodiscard]] nlohmann::ordered_json describe(const Benchmark& benchmark);

/// The same in the form that all data of the program's own making has.
[[nodiscard]] Generated generated_of(Benchmark benchmark);

/// Writes train.jsonl and validation.jsonl ({"text"} lines), facts.jsonl and reasoning.jsonl (in
/// the form that eval/task_files.h reads) and benchmark.json into a folder, which is created if it
/// does not exist. Each file is written atomically.
/// @throws Error kData where a file cannot be written
void write_benchmark(const Benchmark& benchmark, const std::filesystem::path& directory);

}  // namespace loopbank
