#pragma once
/// The page of a study: results.json (docs/formats.md) as one HTML file for people. It asks nothing
/// of a network; tables and answers are plain HTML, figures and tokens are drawn by its script.
///
/// Not here: what the sentences say (answers.h), what the figures show (figures.h), how they are
/// drawn (page/*.js).

#include <string>

#include "loopbank/study/results_view.h"

namespace loopbank {

/// The page. What was not measured is left out or told as not measured.
[[nodiscard]] std::string make_report(const Json& results);

}  // namespace loopbank
