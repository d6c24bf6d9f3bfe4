#pragma once
/// The page's frame filled in: its styles, its scripts and the data that they show.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loopbank {

/// JSON to stand in a <script>: pure ASCII without <, > or &, so that nothing in it ends the
/// element, and bytes that are no UTF-8 replaced.
[[nodiscard]] std::string script_json(const nlohmann::ordered_json& json);

/// The template with every {{name}} replaced by its text; what was put in is not looked at again.
/// @throws Error kConfig for a name that has no text
[[nodiscard]] std::string fill_template(
    std::string_view text, const std::vector<std::pair<std::string_view, std::string_view>>& names);

/// What every page begins with (page/head.html): its styles and what it may load.
/// @param title  of the window, plain text of the program
[[nodiscard]] std::string page_head(std::string_view title);

}  // namespace loopbank
