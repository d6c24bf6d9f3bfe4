#pragma once
/// Two systems of a study compared: on the same questions, and over the same seeds.
///
/// Both are paired: a seed gives two systems the same world, the same order of the data and the
/// same questions. Over questions the bootstrap (eval/paired_bootstrap.h) tells whether these two
/// sets of weights differ; over seeds Student's t tells whether two systems do, whatever the seed.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/eval/paired_bootstrap.h"
#include "loopbank/eval/stored_results.h"
#include "loopbank/study/columns.h"

namespace loopbank {

/// A difference with its 95 % interval and two-sided p.
struct Difference {
  double difference = 0.0;
  double low = 0.0;
  double high = 0.0;
  double p = 1.0;

  [[nodiscard]] bool excludes_zero() const { return low > 0.0 || high < 0.0; }
};

/// Student's paired t over seeds: mean of the differences, its interval with n - 1 degrees of
/// freedom.
/// @param differences  one a seed; nothing for fewer than two
[[nodiscard]] std::optional<Difference> difference_over_seeds(
    const std::vector<double>& differences);

struct PairedScores {
  Difference questions;             ///< of all seeds together
  std::optional<Difference> seeds;  ///< from two seeds on
  double mean_a = 0.0;              ///< over seeds, each the mean over its questions
  double mean_b = 0.0;

  /// What a verdict rests on: from two seeds on the seeds, which tell of the systems; for one seed
  /// the questions, which tell of these weights alone.
  [[nodiscard]] const Difference& decisive() const;
};

/// Folders of scores read once, however many comparisons need them.
class ScoreFolders {
 public:
  /// @throws Error as read_results
  [[nodiscard]] const StoredResults& at(const std::filesystem::path& folder);

 private:
  std::map<std::filesystem::path, StoredResults> read_;
};

/// b - a in one column.
/// @param a, b  folders of scores (eval/result_files.h), one a seed, in the same order of seeds
/// @throws Error kData where a task of the column, or one of its documents, is missing in a folder;
///         kShape where the numbers of folders differ or there is none
[[nodiscard]] PairedScores compare_runs(const std::vector<std::filesystem::path>& a,
                                        const std::vector<std::filesystem::path>& b,
                                        const Column& column, ScoreFolders& folders);

}  // namespace loopbank
