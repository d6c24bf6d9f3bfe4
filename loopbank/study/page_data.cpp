#include "loopbank/study/page_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "loopbank/study/answers.h"
#include "loopbank/study/certainty.h"
#include "loopbank/study/dead_parts.h"
#include "loopbank/study/exits_table.h"
#include "loopbank/study/table.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

// Sentences

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

/// `2,000`, or `2,000 to 4,000` where systems differ.
template <typename Format>
std::string range_of(const std::set<double>& values, const Format& format) {
  const auto low = format(*values.begin());
  const auto high = format(*values.rbegin());
  return low == high ? low : low + " to " + high;
}

/// What was trained, for how long, on what machine and when.
std::string lead_of(const StudyResult& results) {
  std::set<std::string> systems;
  std::set<double> steps;
  std::set<double> tokens;
  size_t seeds = 0;
  std::string titles;
  for (const auto& part : results.parts) {
    for (const auto& system : part.systems) {
      systems.insert(system.name);
      steps.insert(static_cast<double>(system.steps));
      tokens.insert(system.tokens);
    }
    seeds = std::max(seeds, part.seeds.size());
    titles += (titles.empty() ? "" : "; ") + part.title;
  }
  if (systems.empty()) {
    return "No system is done yet.";
  }
  auto text = fmt::format("{}, trained from {}", plural(systems.size(), "transformer"),
                          plural(seeds, "seed"));
  if (*tokens.rbegin() > 0) {
    text += fmt::format(" for {} steps ({} tokens)", range_of(steps, in_full),
                        range_of(tokens, format_count));
  }
  text += results.machine.empty() ? "" : " on " + results.machine;
  if (results.threads > 0) {
    text += ", " + plural(results.threads, "thread") + " a system";
  }
  text += ", and asked the same questions";
  text += titles.empty() ? "." : " (" + titles + ").";
  return results.date.empty() ? text
                              : fmt::format("{} {}, scale {}.", text, results.date, results.scale);
}

Json notices_of(const StudyResult& results) {
  auto notices = Json::array();
  if (!results.finished && !results.parts.empty()) {
    notices.push_back("This study is not finished: the page shows what is done so far.");
  }
  for (const auto& part : results.parts) {
    if (!part.init.empty()) {
      notices.push_back(note_on_init(part));
    }
  }
  const auto note = results.chosen_steps ? note_on(*results.chosen_steps) : "";
  if (!note.empty()) {
    notices.push_back(note);
  }
  return notices;
}

// Claims, answers, what was made from what

Json claims_of(const PartResult& part) {
  auto list = Json::array();
  for (const auto& claim : part.claims) {
    const auto* column = find_column(part.columns, claim.column);
    const auto& comparison = part.comparison_of(claim);
    list.push_back(
        {{"text", claim.text},
         {"measure",
          fmt::format("{} against {}, {}", part.label_of(claim.better), part.label_of(claim.worse),
                      column == nullptr ? claim.column : column->title)},
         {"ours", fmt::format("{:+.1f} %", 100 * comparison.relative())},
         {"paper", claim.paper ? fmt::format("{:+.1f} %", 100 * *claim.paper) : ""},
         {"source", claim.source},
         {"ours_interval",
          fmt::format("{:+.1f} to {:+.1f} %", 100 * comparison.share(comparison.decisive.low),
                      100 * comparison.share(comparison.decisive.high))},
         {"interval",
          fmt::format("{:+.3f} to {:+.3f}", comparison.decisive.low, comparison.decisive.high)},
         {"sure", how_sure(comparison)},
         {"verdict", claim_verdict(comparison.verdict)},
         {"kind", comparison.verdict == Verdict::kBetter  ? "agrees"
                  : comparison.verdict == Verdict::kWorse ? "disagrees"
                                                          : "open"}});
  }
  return list;
}

Json answers_json(const PartResult& part) {
  auto list = Json::array();
  for (const auto& answer : answer_questions(part)) {
    list.push_back({{"tone", name_of(answer.tone)},
                    {"headline", answer.headline},
                    {"text", answer.text},
                    {"more", answer.more}});
  }
  return list;
}

/// How near the derived baselines came to what they match.
Json matches_of(const PartResult& part) {
  auto list = Json::array();
  for (const auto& system : part.systems) {
    if (system.matches) {
      list.push_back(describe_match(system, part) + ".");
    }
  }
  return list;
}

/// Parts of the trained models that do nothing, and what to say where there are none.
Json dead_json(const PartResult& part) {
  auto rows = Json::array();
  for (const auto& dead : dead_parts_of(part)) {
    rows.push_back({{"system", dead.system},
                    {"what", dead.what},
                    {"where", dead.where()},
                    {"seeds", dead.seeds},
                    {"of_seeds", dead.of_seeds}});
  }
  return {{"rows", std::move(rows)},
          {"none", no_dead_parts(part)},
          {"unwatched", unwatched_runs(part)}};
}

// Figures and tokens

/// Six digits: more than a picture shows, and half the size of the page's data.
Json six_digits(const std::vector<double>& values) {
  auto list = Json::array();
  for (const double value : values) {
    list.push_back(std::isfinite(value) ? Json(std::stod(fmt::format("{:.6g}", value))) : Json());
  }
  return list;
}

Json series_json(const FigureSeries& series) {
  Json json = {{"label", series.label},
               {"panel", series.panel},
               {"color", series.color},
               {"x", six_digits(series.x)},
               {"y", six_digits(series.y)}};
  if (!series.error.empty()) {
    json["error"] = six_digits(series.error);
  }
  if (!series.low.empty()) {
    json["low"] = six_digits(series.low);
    json["high"] = six_digits(series.high);
  }
  if (!series.notes.empty()) {
    json["notes"] = series.notes;
  }
  json["hidden"] = series.hidden;
  for (const auto& [key, value] :
       {std::pair("lower_is_better", series.lower_is_better), std::pair("hollow", series.hollow),
        std::pair("apart", series.apart)}) {
    if (value) {
      json[key] = true;
    }
  }
  return json;
}

/// Two decimals: more than a shade shows.
Json two_decimals(double value) {
  return std::round(value * 100) / 100;
}

/// Adds a list a token, unless a token has none.
void add_by_token(Json& columns, const char* key, const std::vector<InsideOfToken>& tokens,
                  ByLayer InsideOfToken::*values) {
  auto list = Json::array();
  for (const auto& token : tokens) {
    auto row = Json::array();
    std::transform((token.*values).begin(), (token.*values).end(), std::back_inserter(row),
                   two_decimals);
    if (row.empty()) {
      return;
    }
    list.push_back(std::move(row));
  }
  columns[key] = std::move(list);
}

/// What one model did at the tokens of a text, a list a quantity.
Json tokens_json(const PartView& view, const SystemResult& system) {
  const auto& tokens = system.inside->token_view;
  Json columns = {{"text", Json::array()}, {"loss", Json::array()}};
  for (const auto& token : tokens) {
    columns["text"].push_back(token.text);
    columns["loss"].push_back(two_decimals(token.loss));
  }
  add_by_token(columns, "expected_loops", tokens, &InsideOfToken::expected_loops);
  add_by_token(columns, "local_gate", tokens, &InsideOfToken::local_gate);
  add_by_token(columns, "global_gate", tokens, &InsideOfToken::global_gate);
  return {{"label", system.label},
          {"part", view.title},
          {"adaptive", system.loops > 0},
          {"columns", std::move(columns)}};
}

Json part_json(const PartView& view) {
  const auto& part = *view.source.part;
  Json json = {{"title", view.title},
               {"bars", view.source.bars},
               {"table", table_data(view.source)},
               {"certainty", describe_certainty(part)},
               {"claims", claims_of(part)},
               {"answers", answers_json(part)},
               {"exits", exits_data(part)},
               {"dead", dead_json(part)},
               {"figures", Json::array()},
               {"settings", part.settings},
               {"data", part.data},
               {"matches", matches_of(part)}};
  for (const auto& figure : view.figures) {
    json["figures"].push_back(figure_json(figure, view.prefix));
  }
  return json;
}

/// Letters, digits and dashes alone: safe in an id and in a file's name.
std::string slug(std::string_view text) {
  std::string name;
  for (const char c : text) {
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '-';
  }
  return name.empty() ? "part" : name;
}

}  // namespace

nlohmann::ordered_json figure_json(const Figure& figure, const std::string& prefix) {
  Json json = {{"name", prefix + figure.id},
               {"id", figure.id},
               {"section", figure.section},
               {"kind", name_of(figure.kind)},
               {"title", figure.title},
               {"caption", figure.caption},
               {"x_title", figure.x_title},
               {"y_title", figure.y_title},
               {"x_names", figure.x_names},
               {"panels", panels_of(figure)},
               {"side_by_side", figure.panels_side_by_side},
               {"x_falls", figure.x_falls},
               {"x_log", figure.x_log},
               {"conclusion", figure.conclusion},
               {"error_label", figure.error_label},
               {"references", Json::array()},
               {"series", Json::array()}};
  for (const auto& line : figure.references) {
    json["references"].push_back(
        {{"panel", line.panel}, {"value", line.value}, {"label", line.label}, {"of_x", line.of_x}});
  }
  for (const auto& series : figure.series) {
    json["series"].push_back(series_json(series));
  }
  return json;
}

std::vector<PartView> views_of(const StudyResult& results) {
  std::vector<PartView> views;
  for (const auto& part : results.parts) {
    auto& view = views.emplace_back();
    view.prefix = slug(part.name) + "-";
    view.title = results.parts.size() > 1 ? part.title : "";
    view.source = shown_part(part);
    view.figures = make_figures(view.source);
  }
  if (auto capacity =
          views.empty() ? std::nullopt : capacity_figure(results, views.front().source)) {
    views.front().figures.push_back(std::move(*capacity));
  }
  return views;
}

Json page_data(const StudyResult& results, const std::vector<PartView>& views) {
  Json data = {{"title", results.title.empty() ? "Think harder or know more?" : results.title},
               {"lead", lead_of(results)},
               {"notices", notices_of(results)},
               {"command", results.command},
               {"retrofit", std::any_of(results.parts.begin(), results.parts.end(),
                                        [](const auto& part) { return !part.init.empty(); })},
               {"parts", Json::array()},
               {"tokens", Json::array()}};
  for (const auto& view : views) {
    data["parts"].push_back(part_json(view));
    for (const auto& [system, series] : view.source.systems) {
      if (system->is_single() && system->inside && !system->inside->token_view.empty()) {
        data["tokens"].push_back(tokens_json(view, *system));
      }
    }
  }
  return data;
}

}  // namespace loopbank
