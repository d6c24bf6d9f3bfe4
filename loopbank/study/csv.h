#pragma once
/// The data of the page as CSV (RFC 4180): a file for every table, figure and list of findings.

#include <string>
#include <vector>

#include "loopbank/study/figures.h"

namespace loopbank {

/// A row a system: its scores, costs and the paper's scores.
[[nodiscard]] std::string table_csv(const PartResult& part);

/// A row a finding of the paper.
[[nodiscard]] std::string claims_csv(const PartResult& part);

/// A row a rule, policy and place of each system whose exits were measured: what it costs in bits per
/// byte with its decisive interval, and what it saves; means over the seeds.
[[nodiscard]] std::string exits_csv(const PartResult& part);

/// A row a point: panel, series, x, y, error, low, high and note under the names of the axes. Columns
/// without a value are left out.
[[nodiscard]] std::string figure_csv(const Figure& figure);

/// A row a figure: what may be concluded from it.
[[nodiscard]] std::string conclusions_csv(const std::vector<Figure>& figures);

}  // namespace loopbank
