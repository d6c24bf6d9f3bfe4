#include "loopbank/study/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "loopbank/study/answers.h"
#include "loopbank/study/html.h"
#include "loopbank/study/page_data.h"
#include "loopbank/study/page_files.h"
#include "loopbank/study/report_claims.h"
#include "loopbank/study/report_table.h"
#include "loopbank/study/time_plan.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

std::string part_heading(const PartView& view) {
  return view.title.empty() ? "" : fmt::format("<h3>{}</h3>\n", escape_html(view.title));
}

std::string figure_html(const PartView& view, const Figure& figure) {
  const auto name = figure_name(*view.json, figure);
  const bool heat = figure.kind == FigureKind::kHeat;
  const bool wide = figure.panels_side_by_side && panels_of(figure).size() > 1;
  const auto content =
      heat ? fmt::format("<div class=\"heats\">{}</div>", heat_html(figure))
           : std::string(
                 "<div class=\"drawing\"></div><noscript><p>A script draws this picture; "
                 "its numbers stand in the file below.</p></noscript>");
  return fmt::format(
      "<figure id=\"{}\" class=\"{}\"{}>\n<h4>{}{}</h4>\n{}\n<figcaption>{} <a href=\"csv/{}.csv\">"
      "CSV</a></figcaption>\n</figure>\n",
      name, wide ? (panels_of(figure).size() == 4 ? "wide four" : "wide") : "narrow",
      heat ? "" : " data-figure", escape_html(figure.title),
      view.title.empty() ? "" : fmt::format(" <small>{}</small>", escape_html(view.title)), content,
      sentence_html(figure.caption), name);
}

/// The figures of a section, the same one of several parts side by side.
std::string figures_html(const std::vector<PartView>& views, std::string_view section) {
  std::vector<std::string> ids;
  for (const auto& view : views) {
    for (const auto& figure : view.figures) {
      const bool known = std::find(ids.begin(), ids.end(), figure.id) != ids.end();
      if (figure.section == section && !known) {
        ids.push_back(figure.id);
      }
    }
  }
  std::string html;
  for (const auto& id : ids) {
    for (const auto& view : views) {
      for (const auto& figure : view.figures) {
        html += figure.id == id ? figure_html(view, figure) : "";
      }
    }
  }
  return html.empty() ? html : "<div class=\"figures\">\n" + html + "</div>\n";
}

/// `2,000`: a count in full.
std::string in_full(double count) {
  const auto digits = fmt::format("{:.0f}", count);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) {
      text += ',';
    }
    text += digits[i];
  }
  return text;
}

/// `, for 2,000 steps (4.1 M tokens)`; a range where systems differ.
std::string budget_of(const std::vector<PartView>& views) {
  std::set<double> steps;
  std::set<double> tokens;
  for (const auto& view : views) {
    for (const auto* system : systems_of(*view.json)) {
      steps.insert(number_at(*system, "steps").value_or(0));
      tokens.insert(number_at(*system, "tokens").value_or(0));
    }
  }
  if (tokens.empty() || *tokens.rbegin() == 0) {
    return "";
  }
  const auto range = [](const std::set<double>& values, auto&& format) {
    const auto low = format(*values.begin());
    const auto high = format(*values.rbegin());
    return low == high ? low : low + " to " + high;
  };
  return fmt::format(" for {} steps ({} tokens)", range(steps, in_full),
                     range(tokens, format_count));
}

std::string plural(size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string lead(const Json& results, const std::vector<PartView>& views) {
  std::set<std::string> systems;
  size_t seeds = 0;
  std::string titles;
  for (const auto& view : views) {
    for (const auto* system : systems_of(*view.json)) {
      systems.insert(text_at(*system, "name"));
    }
    seeds = std::max(seeds, numbers(member(*view.json, "seeds")).size());
    titles +=
        (titles.empty() ? "" : "; ") + text_at(*view.json, "title", text_at(*view.json, "name"));
  }
  if (systems.empty()) {
    return "No system is done yet.";
  }
  auto text = fmt::format("{}, trained from {}{}", plural(systems.size(), "transformer"),
                          plural(seeds, "seed"), budget_of(views));
  const auto machine = text_at(results, "machine");
  text += machine.empty() ? "" : " on " + machine;
  if (const auto threads = number_at(results, "threads")) {
    text += ", " + plural(static_cast<size_t>(*threads), "thread") + " a system";
  }
  text += ", and asked the same questions";
  text += titles.empty() ? "" : " (" + titles + ")";
  const auto date = text_at(results, "date");
  return text + "." +
         (date.empty() ? "" : " " + date + ", scale " + text_at(results, "scale") + ".");
}

std::string unfinished_html(const Json& results) {
  const auto& finished = member(results, "finished");
  return finished.is_boolean() && !finished.get<bool>()
             ? "<p class=\"notice\">This study is not finished: the page shows what is done so "
               "far.</p>\n"
             : "";
}

std::string chosen_steps_html(const Json& results) {
  const auto chosen = chosen_steps_of(results);
  const auto note = chosen ? note_on(*chosen) : "";
  return note.empty() ? "" : "<p class=\"notice\">" + sentence_html(note) + "</p>\n";
}

std::string tables_html(const std::vector<PartView>& views) {
  std::string html;
  for (const auto& view : views) {
    html += part_heading(view) + score_table_html(*view.json);
  }
  return (views.empty() ? "<p>No system is done yet.</p>\n" : html) + figures_html(views, "scores");
}

std::string findings_html(const std::vector<PartView>& views) {
  std::string html;
  for (const auto& view : views) {
    const auto claims = claims_html(*view.json);
    html += claims.empty() ? "" : part_heading(view) + claims;
  }
  return (html.empty() ? "<p>Not measured: it takes two systems that the paper compares.</p>\n"
                       : html) +
         figures_html(views, "claims");
}

std::string questions_html(const std::vector<PartView>& views) {
  std::array<std::string, kNumQuestions> answers;
  for (const auto& view : views) {
    const auto of_part = answer_questions(*view.json);
    for (size_t i = 0; i < answers.size(); ++i) {
      answers[i] += fmt::format(
          "<div class=\"answer {}\">{}<p><b>{}.</b> {}</p>{}</div>\n", name_of(of_part[i].tone),
          part_heading(view), escape_html(of_part[i].headline), sentence_html(of_part[i].text),
          of_part[i].more.empty()
              ? ""
              : fmt::format("<p class=\"more\">{}</p>", sentence_html(of_part[i].more)));
    }
  }
  constexpr std::array<std::string_view, kNumQuestions> kSections = {"loops", "memory", "together",
                                                                     "inside"};
  std::string html;
  for (size_t i = 0; i < answers.size(); ++i) {
    html += fmt::format(
        "<section id=\"question-{}\">\n<h2><span class=\"number\">{}</span> {}</h2>\n{}{}</section>"
        "\n",
        i + 1, i + 1, question_text(static_cast<int>(i + 1)),
        answers[i].empty() ? "<p>Not measured.</p>\n" : answers[i],
        figures_html(views, kSections[i]));
  }
  return html;
}

std::string details(const std::string& summary, const std::string& text) {
  return text.empty() ? ""
                      : fmt::format("<details><summary>{}</summary>\n<pre>{}</pre></details>\n",
                                    escape_html(summary), escape_html(text));
}

std::string making_html(const Json& results, const std::vector<PartView>& views) {
  const auto command = text_at(results, "command");
  auto html = command.empty() ? "" : "<pre class=\"wrap\">" + escape_html(command) + "</pre>\n";
  html += figures_html(views, "training");
  for (const auto& view : views) {
    const auto of = view.title.empty() ? "" : ": " + view.title;
    html += details("What all systems share" + of, text_at(*view.json, "settings"));
    const auto& data = member(*view.json, "data");
    html += details("Data" + of,
                    data.is_null() ? "" : data.dump(2, ' ', false, Json::error_handler_t::replace));
    const auto matches = matches_html(*view.json);
    html += matches.empty() ? ""
                            : fmt::format(
                                  "<details><summary>How near the matched baselines "
                                  "came{}</summary>\n{}</details>\n",
                                  escape_html(of), matches);
  }
  return html;
}

}  // namespace

std::string make_report(const Json& results) {
  const auto views = views_of(results);
  const auto data = page_data(views);
  const auto title = escape_html(text_at(results, "title", "Think harder or know more?"));
  const auto lead_text = sentence_html(lead(results, views));
  const auto notice = unfinished_html(results) + chosen_steps_html(results);
  const auto tables = tables_html(views);
  const auto findings = findings_html(views);
  const auto questions = questions_html(views);
  const auto making = making_html(results, views);
  const auto json = script_json(data);
  const std::string tokens = data["tokens"].empty()
                                 ? "<p>Not measured.</p>"
                                 : "<div id=\"token-view\"></div><noscript><p>A script colours the "
                                   "tokens.</p></noscript>";
  return fill_template(kPageHtml, {{"title", title},
                                   {"css", kPageCss},
                                   {"lead", lead_text},
                                   {"notice", notice},
                                   {"tables", tables},
                                   {"findings", findings},
                                   {"questions", questions},
                                   {"tokens", tokens},
                                   {"making", making},
                                   {"data", json},
                                   {"chart_js", kChartJs},
                                   {"page_js", kPageJs}});
}

}  // namespace loopbank
