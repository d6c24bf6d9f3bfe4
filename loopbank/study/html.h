#pragma once
/// Texts of others made safe for an HTML page.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loopbank/study/results_view.h"

namespace loopbank {

/// The text with every character that means something in HTML written as its name.
[[nodiscard]] std::string escape_html(std::string_view text);

/// The same for our own sentences: `+-` and the minus of a number become the signs that they mean.
[[nodiscard]] std::string sentence_html(std::string_view text);

/// JSON to stand in a <script>: pure ASCII without <, > or &, so that nothing in it ends the
/// element, and bytes that are no UTF-8 replaced.
[[nodiscard]] std::string script_json(const Json& json);

/// Letters, digits and dashes alone: part of an id or of a file's name.
[[nodiscard]] std::string slug(std::string_view text);

/// The template with every {{name}} replaced by its text; what was put in is not looked at again.
/// @throws Error kConfig for a name that has no text
[[nodiscard]] std::string fill_template(
    std::string_view text, const std::vector<std::pair<std::string_view, std::string_view>>& names);

}  // namespace loopbank
