#pragma once
/// The page of a study for people, and its data as CSV. The page is one HTML file and asks nothing
/// of a network; its script builds tables, answers and figures from the data within.
///
/// Not here: what the sentences say (answers.h), what the figures show (figures.h), what the page
/// holds (page_data.h), how all of it looks (page/).

#include <map>
#include <string>

#include "loopbank/study/results.h"

namespace loopbank {

struct StudyReport {
  std::string html;
  /// By name: each part's table (`PART-table.csv`), findings (`PART-claims.csv`), exits
  /// (`PART-exits.csv`), figures (`PART-FIGURE.csv`) and what may be concluded from each
  /// (`PART-conclusions.csv`).
  std::map<std::string, std::string> csv;
};

/// What was not measured is left out or told as not measured.
[[nodiscard]] StudyReport make_report(const StudyResult& results);

}  // namespace loopbank
