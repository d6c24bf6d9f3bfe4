#pragma once
/// What every system of a study trains on and is asked.
///
///     DIR/tokenizer.json, train.tokens, validation.tokens
///     DIR/data.json        written last: what the folder was made from, and its counts
///
/// From the embedded benchmark there are its texts and questions beside these: benchmark.json,
/// train.jsonl, validation.jsonl, facts.jsonl, reasoning.jsonl; from a synthetic task likewise, whose
/// tokens are bytes where each of its symbols is one. From text of one's own that has no held-out
/// files there are the two texts that it was split into.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "loopbank/benchmark/benchmark.h"
#include "loopbank/benchmark/synthetic.h"
#include "loopbank/study/columns.h"
#include "loopbank/study/study_config.h"

namespace loopbank {

struct StudyDataOptions {
  BenchmarkOptions benchmark;
  SyntheticOptions synthetic{};       ///< in place of the benchmark where it names a task
  std::filesystem::path tokenizer{};  ///< tokenizer.json; empty: as the data wants it
  int64_t vocab_size = 0;  ///< of a learned one, in which every digit is a token of its own
};

struct TextDataOptions {
  std::filesystem::path folder;     ///< of .jsonl and .txt files, plain, .gz or .zst
  std::filesystem::path tokenizer;  ///< tokenizer.json; empty: learned from the training text
  int64_t vocab_size = 0;           ///< of a learned one
};

struct StudyData {
  std::vector<std::filesystem::path> tasks;  ///< folders of the tasks' files
  DataConfig files;                          ///< what the runs read, as absolute paths
  std::string description;                   ///< data.json: JSON text
};

/// Makes the folder, or takes it as it stands where data.json says that it was made from the same
/// options.
/// @throws Error kConfig where it was made from others, naming the first that differs; kData where
///         a file cannot be written or data.json cannot be read
[[nodiscard]] StudyData prepare_study_data(const std::filesystem::path& directory,
                                           const StudyDataOptions& options);

/// Refuses a folder whose data.json says that it was made from other options. Writes nothing.
/// @throws Error kConfig, kData as above
void check_study_data(const std::filesystem::path& directory, const StudyDataOptions& options);

/// As prepare_study_data, from text of one's own. Held out are the files with `val`, `valid` or `validation` as a
/// part of their name; where there are none, every 50th document.
/// @throws Error as above; kData for a folder without text files
[[nodiscard]] StudyData prepare_text_data(const std::filesystem::path& directory,
                                          const TextDataOptions& options);

/// Refuses a folder that prepare_text_data refuses for its files, before anything is written.
void check_text_folder(const std::filesystem::path& folder);

}  // namespace loopbank
