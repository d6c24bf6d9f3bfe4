#pragma once
/// Two folders of results compared document by document.
///
/// A folder is what `loopbank eval --out` writes (eval/result_files.h), or one of OLMES. Tasks are
/// paired by name, and by loop budget where a folder holds a task at several. Documents are paired
/// by id (`native_id`), and by position too where ids repeat.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/support/statistics.h"

namespace loopbank {

struct CompareOptions {
  uint64_t seed = 0;
  int64_t resamples = 10000;
};

/// One task in both folders.
struct TaskComparison {
  std::string task;
  std::string metric;  ///< the headline figure of both
  int64_t instances = 0;
  int64_t max_loops_a = 0;  ///< loop budgets; 0 where a folder does not say
  int64_t max_loops_b = 0;
  PairedDifference value;     ///< of the headline figure
  PairedDifference bpb;       ///< of bits per byte of the correct choice
  bool same_requests = true;  ///< false where both folders say and differ: other prompts
};

/// A suite of both folders: the mean over its tasks, each resampled on its own.
struct SuiteComparison {
  std::string suite;
  int64_t max_loops_a = 0;
  int64_t max_loops_b = 0;
  PairedDifference value;
  PairedDifference bpb;
};

struct Comparison {
  std::string a;  ///< folders
  std::string b;
  CompareOptions options;
  std::vector<TaskComparison> tasks;
  std::vector<SuiteComparison> suites;
};

/// @throws Error kConfig for resamples under 1; kData for a folder without results, no task in
///   common, a task whose metric, documents or budgets differ (naming what is missing), and a file
///   of another form
[[nodiscard]] Comparison compare_results(const std::filesystem::path& a,
                                         const std::filesystem::path& b,
                                         const CompareOptions& options = {});

[[nodiscard]] nlohmann::ordered_json to_json(const Comparison& comparison);

/// A table: per task, one line for the headline figure and one for bits per byte.
[[nodiscard]] std::string describe(const Comparison& comparison);

}  // namespace loopbank
