#pragma once
/// The figures of studies as files, from stored results alone: `PART-FIGURE.svg`, `PART-FIGURE.csv`
/// and what may be concluded from each, `PART-conclusions.csv`.

#include <map>
#include <string>
#include <vector>

#include "loopbank/study/figures.h"
#include "loopbank/study/results.h"

namespace loopbank {

/// A study whose figures are asked for.
struct NamedResults {
  std::string name;  ///< stands before the part where two studies have a part of the same name
  StudyResult results = {};
  std::vector<Figure> others = {};  ///< of no part; their files are named NAME-FIGURE
};

/// @param only  ids of figures, or names of their files without their endings; empty: all of them
/// @return contents by file name; empty where nothing was measured
/// @throws Error kConfig for a name of `only` that no figure of these studies has, with the nearest
[[nodiscard]] std::map<std::string, std::string> figure_files(
    const std::vector<NamedResults>& studies, const std::vector<std::string>& only = {});

}  // namespace loopbank
