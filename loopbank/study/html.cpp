#include "loopbank/study/html.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

bool is_alphanumeric(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string sentence_html(std::string_view text) {
  const auto escaped = escape_html(text);
  std::string html;
  for (size_t i = 0; i < escaped.size(); ++i) {
    const bool begins = i == 0 || escaped[i - 1] == ' ' || escaped[i - 1] == '(';
    const char next = i + 1 < escaped.size() ? escaped[i + 1] : ' ';
    if (escaped[i] == '+' && next == '-') {
      html += "&plusmn;";
      ++i;
    } else if (escaped[i] == '-' && begins && std::isdigit(static_cast<unsigned char>(next)) != 0) {
      html += "&minus;";
    } else if (escaped[i] == ' ' && next == '%') {
      html += "&nbsp;";
    } else {
      html += escaped[i];
    }
  }
  return html;
}

std::string script_json(const Json& json) {
  const auto text = json.dump(-1, ' ', true, Json::error_handler_t::replace);
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

std::string slug(std::string_view text) {
  std::string name;
  for (const char c : text) {
    name += is_alphanumeric(c) ? c : '-';
  }
  return name.empty() ? "part" : name;
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

}  // namespace loopbank
