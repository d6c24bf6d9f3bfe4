#pragma once
/// The comparisons of a part: which pairs of systems are compared, from what, and the paper's
/// findings that rest on them. What may be said of a comparison is the rule of verdict.h.
///
/// Families of tests (verdict.h): all findings of a part are one; the other comparisons of a column are
/// one each. A pair that a finding compares in its column belongs to the findings, whichever way round.
///
/// Compared are, in every column, each system with the yardsticks (the plain transformers of equal
/// size, FLOPs and time, loops without memory, one loop with a learned scale), systems with memory
/// with the dense one of as many parameters, and the pairs of the paper's findings.

#include <filesystem>
#include <map>
#include <vector>

#include "loopbank/eval/stored_results.h"
#include "loopbank/study/results.h"

namespace loopbank {

/// Folders of scores read once, however many comparisons need them.
class ScoreFolders {
 public:
  /// @throws Error as read_results
  [[nodiscard]] const StoredResults& at(const std::filesystem::path& folder);

 private:
  std::map<std::filesystem::path, StoredResults> read_;
};

/// Of the two sides of a comparison.
struct ScoreScales {
  double here = 1.0;
  double there = 1.0;
};

/// `here` against `there` on the same questions, seed by seed; judged. Where all folders of `there`
/// state the same requests of a task, its questions are the same in all seeds, else each seed's own.
/// @param here, there  folders of scores (eval/result_files.h), one a seed, in the same order
/// @param scales  what the questions' scores of each are multiplied by (Column::scale)
/// @throws Error kData where a task of the column, or one of its documents, is missing in a folder;
///         kShape where the numbers of folders differ or there is none
[[nodiscard]] SystemComparison compare_runs(const std::vector<std::filesystem::path>& here,
                                            const std::vector<std::filesystem::path>& there,
                                            const Column& column, ScoreFolders& folders,
                                            const ScoreScales& scales = {});

/// Fills in the part's comparisons and claims.
/// @param runs  of the part's systems, in their order
void compare_systems(PartResult& part, const std::vector<SystemRuns>& runs);

/// Fills in what results.json does not hold: the scores of each comparison, and estimates for pairs
/// that it does not compare, such as those without a common seed. All are judged; claims without a comparison go.
void complete_comparisons(PartResult& part);

}  // namespace loopbank
