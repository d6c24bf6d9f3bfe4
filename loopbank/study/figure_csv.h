#pragma once
/// The data of the page as CSV (RFC 4180): a file for every table, figure and list of findings.

#include <map>
#include <string>

#include "loopbank/study/figures.h"

namespace loopbank {

/// Every file of results.json by its name, `benchmark-loop-budget.csv`: each part's table
/// (`PART-table.csv`), its findings (`PART-claims.csv`) and its figures.
[[nodiscard]] std::map<std::string, std::string> make_csv(const Json& results);

/// A row a point: panel, series, x, y, error and note under the names of the axes. Columns without
/// a value are left out.
[[nodiscard]] std::string figure_csv(const Figure& figure);

}  // namespace loopbank
