#pragma once
/// A folder of results, read back as far as a comparison needs it.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace loopbank {

/// The scores of one document.
struct StoredDocument {
  std::string id;
  double value = 0.0;  ///< of the task's headline figure
  double bpb = 0.0;
  std::optional<double> known_bits = {};  ///< where the prior of the answer is known
};

struct StoredTask {
  std::string task;
  std::string metric;
  int64_t max_loops = 0;  ///< 0: not stated
  /// `xxh3:` and 16 digits, or a form of before without "xxh3:"; empty: not stated.
  std::string requests_hash;
  std::vector<StoredDocument> documents;
};

struct StoredSuite {
  std::string suite;
  std::vector<std::string> tasks;
  int64_t max_loops = 0;
};

struct StoredResults {
  std::filesystem::path directory;
  std::vector<StoredTask> tasks;
  std::vector<StoredSuite> suites;  ///< empty for a folder of OLMES
};

/// Reads metrics.json and the predictions that it names; in a folder of OLMES every
/// task-NNN-NAME-metrics.json and the predictions beside it.
/// @throws Error kData naming the file, and its line, for a missing or broken part
[[nodiscard]] StoredResults read_results(const std::filesystem::path& directory);

}  // namespace loopbank
