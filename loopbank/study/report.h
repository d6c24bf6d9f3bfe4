#pragma once
/// The page of a study: the table with the paper's numbers beside it, what of the paper's order
/// came out, and how it was made. One HTML file without scripts that asks nothing of a network.

#include <string>
#include <string_view>

#include "loopbank/study/results.h"

namespace loopbank {

/// The text with every character that means something in HTML written as its name.
[[nodiscard]] std::string escape_html(std::string_view text);

/// The page. On a narrow screen every row of the table becomes a card.
[[nodiscard]] std::string make_report(const StudyResult& result);

}  // namespace loopbank
