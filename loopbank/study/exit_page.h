#pragma once
/// The page of a study of exits (page/exit.html): answers, quality against cost, every rule.

#include <string>
#include <vector>

#include "loopbank/study/exit_study.h"
#include "loopbank/study/figures.h"

namespace loopbank {

/// Quality lost against time saved and against FLOPs saved, within 5 % of all loops and then of every
/// result: a picture for each place, a curve for each kind of rule; results on the front bear their
/// names.
[[nodiscard]] std::vector<Figure> exit_figures(const ExitStudy& study);

/// The whole page.
/// @param title  of the window
/// @param lead   a sentence on what was measured where
[[nodiscard]] std::string exit_page(const ExitStudy& study, const std::string& title,
                                    const std::string& lead);

}  // namespace loopbank
