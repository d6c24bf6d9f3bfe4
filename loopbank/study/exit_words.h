#pragma once
/// What a study of exits answers, in words, for the terminal, the page and results.json.

#include <string>
#include <vector>

#include "loopbank/study/exit_study.h"

namespace loopbank {

constexpr double kCloseBpb = 0.005;  ///< the price that is asked about first
constexpr double kEqualBpb = 0.001;  ///< what counts as equal perplexity

/// A question, such as `Soft mixture or hard exit?`, and what was found.
struct ExitAnswer {
  std::string headline;
  std::vector<std::string> sentences;
  /// Where it is of comparisons: those of study.answers that the sentences behind the first tell.
  std::vector<const ExitComparison*> comparisons = {};
};

/// Every question that the study has rows for.
[[nodiscard]] std::vector<ExitAnswer> exit_answers(const ExitStudy& study);

/// `95 % interval over documents +0.001 to +0.003, over 3 models -0.010 to +0.014`.
[[nodiscard]] std::string intervals_of(const PairedDifference& documents,
                                       const std::optional<Difference>& models, int64_t num_models);

/// ` by each of 3 models`, ` by 3 models together`, or nothing for one.
[[nodiscard]] std::string scored_by(const ExitStudy& study);

/// `43.1 %`.
[[nodiscard]] std::string percent_of(double share);

}  // namespace loopbank
