#pragma once
/// What every system of a study trains on and is asked: the embedded benchmark as text, a tokenizer
/// learned from that text, and both texts in its tokens.
///
///     DIR/benchmark.json, train.jsonl, validation.jsonl, facts.jsonl, reasoning.jsonl
///     DIR/tokenizer.json, train.tokens, validation.tokens
///     DIR/data.json        written last: what the folder was made from, and its counts

#include <cstdint>
#include <filesystem>
#include <string>

#include "loopbank/data/benchmark.h"
#include "loopbank/study/systems.h"

namespace loopbank {

/// Names of the two parts, as tasks.
inline constexpr const char* kFactsTask = "facts";
inline constexpr const char* kReasoningTask = "reasoning";

struct StudyDataOptions {
  BenchmarkOptions benchmark;
  int64_t vocab_size = 0;  ///< of the tokenizer, in which every digit is a token of its own
};

/// The benchmark that a scale's study is made of; sizes differ by scale, worlds by seed.
[[nodiscard]] BenchmarkOptions study_benchmark(Scale scale, uint64_t seed);

struct StudyData {
  std::filesystem::path tasks;  ///< folder of facts.jsonl and reasoning.jsonl
  DataConfig files;             ///< what the runs read, as absolute paths
  std::string description;      ///< data.json: JSON text
};

/// Makes the folder, or takes it as it stands where data.json says that it was made from the same
/// options.
/// @throws Error kConfig where it was made from others, naming the first that differs; kData where
///         a file cannot be written or data.json cannot be read
[[nodiscard]] StudyData prepare_study_data(const std::filesystem::path& directory,
                                           const StudyDataOptions& options);

}  // namespace loopbank
