#include "loopbank/study/report_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "loopbank/study/comparison.h"
#include "loopbank/study/html.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

/// What the marks compare with.
struct Baseline {
  std::string_view name;
  std::string_view label;
  char letter;
};

constexpr std::array<Baseline, 2> kBaselines = {
    {{"isopar", "IsoPar", 'P'}, {"isoflop", "IsoFLOP", 'F'}}};

struct Group {
  std::string_view name;
  std::string_view title;
};

constexpr std::array<Group, 4> kGroups = {{{"paper", "The paper's systems"},
                                           {"own", "Further systems"},
                                           {"grid", "Loops and memory slots"},
                                           {"ponder", "Ponder weights"}}};

std::string cell(std::string_view name, const std::string& content, std::string_view kind = "") {
  return fmt::format("<td{} data-name=\"{}\"><span>{}</span></td>",
                     kind.empty() ? "" : fmt::format(" class=\"{}\"", kind), escape_html(name),
                     content.empty() ? "<span class=\"none\">&ndash;</span>" : content);
}

std::string count_cell(std::string_view name, const Json& system, const char* key) {
  const auto value = number_at(system, key);
  return cell(name, value ? fmt::format("{}", format_count(*value)) : "");
}

/// A number, and below it what stands beside it in small: marks and the bar.
std::string with_bar(double value, std::optional<double> bar, int digits,
                     const std::string& notes = "") {
  auto html = fmt::format("<span class=\"value\">{:.{}f}</span>", value, digits);
  const auto below = notes + (bar ? fmt::format("&plusmn;&nbsp;{:.{}f}", *bar, digits) : "");
  return below.empty() ? html : html + "<small>" + below + "</small>";
}

/// `-0.100 (95 % interval -0.150 to -0.050), p = 0.001; over seeds -0.300 to 0.100`.
std::string interval_text(const SystemComparison& comparison) {
  auto text = fmt::format("{:+.3f} (95 % interval {:+.3f} to {:+.3f})", comparison.difference,
                          comparison.low, comparison.high);
  if (comparison.p) {
    text += *comparison.p < 0.001 ? ", p < 0.001" : fmt::format(", p = {:.3f}", *comparison.p);
  }
  if (comparison.seeds) {
    text += fmt::format("; over seeds {:+.3f} to {:+.3f}", comparison.seeds->low,
                        comparison.seeds->high);
  }
  return text;
}

/// The paired comparison that the study stored, and no estimate in its place.
std::optional<SystemComparison> stored(const Json& part, const Json& system,
                                       const Baseline& baseline, const ScoreColumn& column) {
  const auto& json = member(member(member(system, "against"), baseline.name), column.key);
  return json.is_object() ? compare_systems(part, text_at(system, "name"), baseline.name, column)
                          : std::nullopt;
}

/// A letter and a triangle for each baseline that the score clearly differs from.
std::string marks(const Json& part, const Json& system, const ScoreColumn& column) {
  std::string html;
  for (const auto& baseline : kBaselines) {
    const auto comparison = stored(part, system, baseline, column);
    if (!comparison || comparison->verdict() == 0) {
      continue;
    }
    const bool better = comparison->verdict() > 0;
    const bool sure = comparison->verdict_over_seeds() != 0;
    const char* triangle = better ? (sure ? "&#9650;" : "&#9651;") : (sure ? "&#9660;" : "&#9661;");
    html += fmt::format("<abbr class=\"mark {}\" title=\"{} than {}: {}\">{}{}</abbr>",
                        better ? "better" : "worse", better ? "better" : "worse", baseline.label,
                        sentence_html(interval_text(*comparison)), baseline.letter, triangle);
  }
  return html.empty() ? html : "<span class=\"marks\">" + html + "</span> ";
}

/// Whether no other system of its group scores better.
bool is_best(const Json& part, const Json& system, const ScoreColumn& column) {
  const auto own = score_of(system, column.key);
  for (const auto* other : systems_of(part, {group_of(system)})) {
    const auto score = score_of(*other, column.key);
    if (own && score && score->mean != own->mean &&
        (score->mean < own->mean) == column.lower_is_better) {
      return false;
    }
  }
  return own.has_value();
}

/// `4 layers, 3 loops, 64 + 32 slots`.
std::string shape_of(const Json& system) {
  std::string text;
  const auto add = [&](const std::string& word) { text += (text.empty() ? "" : ", ") + word; };
  if (const auto layers = number_at(system, "layers")) {
    add(fmt::format("{:.0f} layers", *layers));
  }
  if (is_adaptive(system)) {
    const double loops = *number_at(system, "loops");
    add(fmt::format("{:.0f} loop{}", loops, loops == 1 ? "" : "s"));
  }
  if (slots_of(system) > 0) {
    add(fmt::format("{:.0f}+{:.0f} slots", number_at(system, "local_slots").value_or(0),
                    number_at(system, "global_slots").value_or(0)));
  }
  if (const auto weight = number_at(system, "ponder_weight"); weight && *weight > 0) {
    add(fmt::format("ponder {}", *weight));
  }
  return text;
}

std::string table_row(const Json& part, const Json& system, bool with_paper) {
  auto html = fmt::format(
      "<tr><th scope=\"row\"><i class=\"swatch\" style=\"--c:var(--{})\"></i>{}"
      "<small>{}</small></th>",
      colors_of(part).at(text_at(system, "name")), escape_html(label_of(system)), shape_of(system));
  for (const auto& column : columns_of(part)) {
    const auto score = score_of(system, column.key);
    html += cell(column.title,
                 score ? with_bar(score->mean, score->bar(), 3, marks(part, system, column)) : "",
                 is_best(part, system, column) ? "score best" : "score");
  }
  html += count_cell("parameters", system, "parameters");
  html += count_cell("FLOPs a token", system, "flops_per_token");
  html += count_cell("tokens a second", system, "tokens_per_second");
  const auto loops = number_at(system, "mean_loops");
  html += cell("mean loops", loops && is_adaptive(system)
                                 ? with_bar(*loops, number_at(system, "mean_loops_spread"), 2)
                                 : "");
  for (const auto& column : columns_of(part)) {
    if (!column.paper_key.empty()) {
      const auto score = with_paper ? paper_score(system, column) : std::nullopt;
      html += score ? cell("paper: " + column.paper_title, fmt::format("{:.3f}", *score), "paper")
                    : "<td class=\"paper empty\"></td>";
    }
  }
  return html + "</tr>\n";
}

std::string heading(const std::string& title, std::string_view below, std::string_view kind = "") {
  return fmt::format("<th scope=\"col\"{}>{}{}</th>",
                     kind.empty() ? "" : fmt::format(" class=\"{}\"", kind), escape_html(title),
                     below.empty() ? "" : fmt::format("<small>{}</small>", below));
}

std::string table_head(const Json& part, size_t& width) {
  std::string html = "<thead><tr><th scope=\"col\">system</th>";
  width = 1;
  for (const auto& column : columns_of(part)) {
    html += heading(column.title, direction_of(column));
    ++width;
  }
  for (const char* title : {"parameters", "FLOPs a token", "tokens a second", "mean loops"}) {
    html += heading(title, "");
    ++width;
  }
  for (const auto& column : columns_of(part)) {
    if (!column.paper_key.empty()) {
      html += heading(column.paper_title, "paper", "paper");
      ++width;
    }
  }
  return html + "</tr></thead>\n";
}

std::string legend(const Json& part, bool with_marks) {
  auto html = fmt::format(
      "<p class=\"legend\">&plusmn; is the {}. <b>Bold</b> is the best of its group. FLOPs are "
      "those "
      "of a forward pass with every loop.",
      meaning_of_bars(part));
  std::string chances;
  for (const auto& column : columns_of(part)) {
    if (column.chance) {
      chances += fmt::format("{} {:.3g} in {}", chances.empty() ? "" : ",", *column.chance,
                             escape_html(column.title));
    }
  }
  html += chances.empty() ? "" : " Guessing scores" + chances + ".";
  if (with_marks) {
    html +=
        " <abbr class=\"mark better\">P&#9650;</abbr> clearly better than IsoPar, "
        "<abbr class=\"mark worse\">F&#9660;</abbr> clearly worse than IsoFLOP: the 95&nbsp;% "
        "interval over the questions and that over the seeds leave out 0. An open "
        "<abbr class=\"mark better\">&#9651;</abbr> is clear over the questions alone.";
  }
  return html + "</p>\n";
}

std::string all_differences(const Json& part) {
  std::string rows;
  for (const auto* system : systems_of(part)) {
    for (const auto& baseline : kBaselines) {
      for (const auto& column : columns_of(part)) {
        if (const auto comparison = stored(part, *system, baseline, column)) {
          const int verdict = comparison->verdict();
          rows += fmt::format("<tr><th scope=\"row\">{}</th>{}{}{}{}</tr>\n",
                              escape_html(label_of(*system)),
                              cell("against", std::string(baseline.label)),
                              cell("score", escape_html(column.title)),
                              cell("difference", sentence_html(interval_text(*comparison))),
                              cell("says", verdict > 0   ? "better"
                                           : verdict < 0 ? "worse"
                                                         : "too near to tell"));
        }
      }
    }
  }
  return rows.empty() ? rows
                      : "<details><summary>Every difference against IsoPar and IsoFLOP, with its "
                        "intervals</summary>\n<div class=\"table-box\"><table class=\"plain\">"
                        "<thead><tr><th>system</th><th>against</th><th>score</th><th>difference"
                        "</th><th>says</th></tr></thead>\n<tbody>\n" +
                            rows + "</tbody></table></div></details>\n";
}

}  // namespace

std::string score_table_html(const Json& part) {
  if (systems_of(part).empty()) {
    return "<p>No system is done yet.</p>\n";
  }
  size_t width = 0;
  auto html = "<div class=\"table-box\"><table class=\"scores\">\n" + table_head(part, width);
  for (const auto& group : kGroups) {
    const auto systems = systems_of(part, {group.name});
    if (systems.empty()) {
      continue;
    }
    html += fmt::format(
        "<tbody>\n<tr class=\"group\"><th colspan=\"{}\" scope=\"rowgroup\">{}</th></tr>\n", width,
        group.title);
    for (const auto* system : systems) {
      html += table_row(part, *system, group.name == "paper");
    }
    html += "</tbody>\n";
  }
  const auto differences = all_differences(part);
  return html + "</table></div>\n" + legend(part, !differences.empty()) + differences;
}

std::string matches_html(const Json& part) {
  std::string items;
  for (const auto* system : systems_of(part)) {
    const auto& matches = member(*system, "matches");
    if (!matches.is_object()) {
      continue;
    }
    const auto* target = find_system(part, text_at(matches, "system"));
    auto text = fmt::format("{} matches {} by {}:", label_of(*system),
                            target != nullptr ? label_of(*target) : text_at(matches, "system"),
                            text_at(matches, "by"));
    for (const auto& [key, name] : {std::pair{"parameters", "parameters"},
                                    {"flops", "FLOPs"},
                                    {"seconds", "training time"}}) {
      if (const auto residual = number_at(matches, key)) {
        text += fmt::format(" {:+.1f} % {},", 100 * *residual, name);
      }
    }
    text.back() = '.';
    items += "<li>" + sentence_html(text) + "</li>\n";
  }
  return items.empty() ? "" : "<ul>\n" + items + "</ul>\n";
}

std::string heat_html(const Figure& figure) {
  std::string html;
  for (const auto& panel : panels_of(figure)) {
    double low = 0.0;
    double high = 0.0;
    bool first = true;
    for (const auto& row : figure.series) {
      for (const double value : row.panel == panel ? row.y : std::vector<double>()) {
        low = first ? value : std::min(low, value);
        high = first ? value : std::max(high, value);
        first = false;
      }
    }
    const bool lower_is_better = panel.ends_with("lower is better");
    html += fmt::format(
        "<div class=\"table-box\"><table class=\"heat\"><caption>{}</caption><thead>"
        "<tr><td></td>",
        escape_html(panel));
    for (const auto& name : figure.x_names) {
      html += fmt::format("<th scope=\"col\">{}</th>", escape_html(name));
    }
    html += "</tr></thead>\n<tbody>\n";
    for (const auto& row : figure.series) {
      if (row.panel != panel) {
        continue;
      }
      html += fmt::format("<tr><th scope=\"row\">{}</th>", escape_html(row.label));
      for (size_t x = 0; x < figure.x_names.size(); ++x) {
        const auto at = std::find(row.x.begin(), row.x.end(), static_cast<double>(x));
        if (at == row.x.end()) {
          html += "<td class=\"none\">&ndash;</td>";
          continue;
        }
        const auto i = static_cast<size_t>(at - row.x.begin());
        const double rise = high > low ? (row.y[i] - low) / (high - low) : 0.5;
        html += fmt::format(
            "<td style=\"--heat:{:.2f}\" title=\"{}\">{:.3f}<small>&plusmn;&nbsp;"
            "{:.3f}</small></td>",
            lower_is_better ? 1 - rise : rise, escape_html(row.notes[i]), row.y[i], row.error[i]);
      }
      html += "</tr>\n";
    }
    html += "</tbody></table></div>\n";
  }
  return html;
}

}  // namespace loopbank
