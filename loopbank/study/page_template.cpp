#include "loopbank/study/page_template.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "loopbank/study/page_files.h"
#include "loopbank/support/error.h"

namespace loopbank {

std::string script_json(const nlohmann::ordered_json& json) {
  const auto text = json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  std::string safe;
  for (const char c : text) {
    // Only ever inside a string of JSON, where an escape means the same.
    switch (c) {
      case '<':
        safe += "\\u003c";
        break;
      case '>':
        safe += "\\u003e";
        break;
      case '&':
        safe += "\\u0026";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

std::string fill_template(std::string_view text,
                          const std::vector<std::pair<std::string_view, std::string_view>>& names) {
  std::string filled;
  while (true) {
    const auto open = text.find("{{");
    filled += text.substr(0, open);
    if (open == std::string_view::npos) {
      return filled;
    }
    const auto close = text.find("}}", open);
    const auto name = text.substr(open + 2, close - open - 2);
    const auto found = std::find_if(names.begin(), names.end(),
                                    [&](const auto& entry) { return entry.first == name; });
    if (close == std::string_view::npos || found == names.end()) {
      fail(ErrorCode::kConfig, "page template: expected a known name in {{{{ }}}}, got \"{}\".",
           name.substr(0, 40));
    }
    filled += found->second;
    text.remove_prefix(close + 2);
  }
}

std::string page_head(std::string_view title) {
  return fill_template(kHeadHtml, {{"title", title}, {"css", kPageCss}});
}

}  // namespace loopbank
