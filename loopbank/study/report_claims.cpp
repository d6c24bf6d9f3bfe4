#include "loopbank/study/report_claims.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loopbank/study/html.h"

namespace loopbank {
namespace {

constexpr std::string_view kAgrees = "as in the paper";
constexpr std::string_view kDisagrees = "not as in the paper";

std::string percent(const Json& claim, const char* key) {
  const auto value = number_at(claim, key);
  return value ? fmt::format("{:+.1f} %", 100 * *value) : "not given";
}

std::string column_title(const Json& part, std::string_view key) {
  for (const auto& column : columns_of(part)) {
    if (column.key == key) {
      return column.title;
    }
  }
  return std::string(key);
}

std::string label_of_name(const Json& part, const std::string& name) {
  const auto* system = find_system(part, name);
  return system == nullptr ? name : label_of(*system);
}

/// `Loop-3 against IsoPar, reasoning BPB`.
std::string measure_of(const Json& part, const Json& claim) {
  return fmt::format("{} against {}, {}", label_of_name(part, text_at(claim, "better")),
                     label_of_name(part, text_at(claim, "worse")),
                     column_title(part, text_at(claim, "column")));
}

std::string_view kind_of(std::string_view verdict) {
  return verdict == kAgrees ? "agrees" : verdict == kDisagrees ? "disagrees" : "open";
}

std::string interval_of(const Json& claim) {
  const auto low = number_at(claim, "low");
  const auto high = number_at(claim, "high");
  return low && high ? fmt::format("{:+.3f} to {:+.3f}", *low, *high) : "not measured";
}

std::string row_html(const Json& part, const Json& claim) {
  const auto verdict = text_at(claim, "verdict");
  return fmt::format(
      "<tr><th scope=\"row\">{}<small>{}</small></th>"
      "<td data-name=\"here\"><span>{}</span></td><td data-name=\"paper\"><span>{}</span></td>"
      "<td data-name=\"95 % interval of the difference\"><span>{}</span></td>"
      "<td data-name=\"verdict\"><span class=\"verdict {}\">{}</span></td></tr>\n",
      escape_html(text_at(claim, "text")), escape_html(measure_of(part, claim)),
      sentence_html(percent(claim, "ours")), sentence_html(percent(claim, "paper")),
      sentence_html(interval_of(claim)), kind_of(verdict), escape_html(verdict));
}

}  // namespace

std::string claims_html(const Json& part) {
  const auto& claims = member(part, "claims");
  if (!claims.is_array() || claims.empty()) {
    return "";
  }
  size_t agree = 0;
  size_t disagree = 0;
  std::string rows;
  std::string disagreements;
  for (const auto& claim : claims) {
    const auto kind = kind_of(text_at(claim, "verdict"));
    agree += kind == "agrees" ? 1 : 0;
    rows += row_html(part, claim);
    if (kind == "disagrees") {
      ++disagree;
      disagreements += fmt::format(
          "<li>{} <small>({}: here {}, in the paper {})</small></li>\n",
          escape_html(text_at(claim, "text")), escape_html(measure_of(part, claim)),
          sentence_html(percent(claim, "ours")), sentence_html(percent(claim, "paper")));
    }
  }
  auto html = fmt::format(
      "<p class=\"tally\">Of {} findings of the paper <b>{} came out</b> here, <b>{} did not</b>, "
      "and {} {} too near to tell.</p>\n",
      claims.size(), agree, disagree, claims.size() - agree - disagree,
      claims.size() - agree - disagree == 1 ? "is" : "are");
  if (disagree > 0) {
    html += "<div class=\"disagreement\"><p>These did not come out here:</p>\n<ul>\n" +
            disagreements + "</ul></div>\n";
  }
  return html +
         "<div class=\"table-box\"><table class=\"claims\"><thead><tr><th>finding</th><th>here</th>"
         "<th>paper</th><th>95&nbsp;% interval of the difference</th><th>verdict</th></tr></thead>"
         "\n<tbody>\n" +
         rows + "</tbody></table></div>\n";
}

}  // namespace loopbank
