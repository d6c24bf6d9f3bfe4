#pragma once
/// What the rows of a study of exits say together.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/study/exit_study.h"

namespace loopbank {

/// Rows from which the noise is a quantile, since 95 of 100 are fewer than all.
constexpr int64_t kRowsOfQuantile = 20;

/// Fills in everything that follows from the rows: their shares saved and differences to `all`, the
/// fronts, comparisons, answers and the noise.
void conclude_exits(ExitStudy& study);

/// Marks the results that no other of the same place beats in bits per byte and in cost at once.
void mark_fronts(ExitStudy& study);

/// `cdf` of `cdf:0.9,hard`.
[[nodiscard]] std::string_view kind_of_rule(std::string_view rule);

/// `all` with `full` of a place; null where nothing was measured there.
[[nodiscard]] const ExitResult* all_of(const ExitStudy& study, ExitWhere where);

/// Values of the same thing by document and model as one list whose mean is the mean over models:
/// the mean over models of each document where all have as many, else one after another.
/// @param of_models  at least one, none empty
[[nodiscard]] std::vector<double> pooled_documents(
    const std::vector<std::vector<double>>& of_models);

/// Over models: nothing for one.
/// @param a, b  of each model
[[nodiscard]] std::optional<Difference> difference_over_models(std::span<const double> a,
                                                               std::span<const double> b);

/// What two intervals of b - a say of b, lower is better: of several models Student's over them, unless
/// that is sure and the documents are not; of one its documents, since what is asked is asked of it.
[[nodiscard]] Verdict judged_difference(const PairedDifference& documents,
                                        const std::optional<Difference>& models);

/// The comparisons and the answers (ExitComparison).
void compare_exits(ExitStudy& study);

}  // namespace loopbank
