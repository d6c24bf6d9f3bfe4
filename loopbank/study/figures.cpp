#include "loopbank/study/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "loopbank/study/figures_cost.h"
#include "loopbank/study/figures_inside.h"
#include "loopbank/study/figures_scores.h"
#include "loopbank/study/figures_training.h"

namespace loopbank {
namespace {

// With more systems than this a picture starts with a few of them.
constexpr size_t kManySystems = 5;
constexpr std::array<std::string_view, 4> kStory = {"isopar", "loop3", "isoflop", "mem-g3"};

/// Six digits: more than a picture shows, and half the size of the page's data.
Json to_six_digits(const std::vector<double>& values) {
  auto list = Json::array();
  for (const double value : values) {
    list.push_back(std::isfinite(value) ? Json(std::stod(fmt::format("{:.6g}", value))) : Json());
  }
  return list;
}

Json to_json(const FigureSeries& series) {
  Json json = {{"label", series.label}, {"color", series.color}};
  if (!series.panel.empty()) {
    json["panel"] = series.panel;
  }
  json["x"] = to_six_digits(series.x);
  json["y"] = to_six_digits(series.y);
  if (!series.error.empty()) {
    json["error"] = to_six_digits(series.error);
  }
  if (!series.notes.empty()) {
    json["notes"] = series.notes;
  }
  if (series.hidden) {
    json["hidden"] = true;
  }
  return json;
}

}  // namespace

std::string_view name_of(FigureKind kind) {
  switch (kind) {
    case FigureKind::kDots:
      return "dots";
    case FigureKind::kBars:
      return "bars";
    case FigureKind::kAcross:
      return "across";
    case FigureKind::kStack:
      return "stack";
    case FigureKind::kLines:
      return "lines";
    case FigureKind::kPath:
      return "path";
    case FigureKind::kPoints:
      return "points";
    case FigureKind::kHeat:
      break;
  }
  return "heat";
}

std::vector<Figure> make_figures(const Json& part) {
  std::vector<Figure> figures;
  for (const auto& make : {score_figures, cost_figures, inside_figures, training_figures}) {
    for (auto& figure : make(part)) {
      figures.push_back(std::move(figure));
    }
  }
  return figures;
}

std::vector<std::string> panels_of(const Figure& figure) {
  std::vector<std::string> panels;
  for (const auto& series : figure.series) {
    if (std::find(panels.begin(), panels.end(), series.panel) == panels.end()) {
      panels.push_back(series.panel);
    }
  }
  return panels;
}

Json to_json(const Figure& figure) {
  Json json = {{"id", figure.id},
               {"kind", name_of(figure.kind)},
               {"title", figure.title},
               {"x_title", figure.x_title},
               {"y_title", figure.y_title},
               {"x_names", figure.x_names},
               {"panels", panels_of(figure)},
               {"side_by_side", figure.panels_side_by_side},
               {"x_falls", figure.x_falls},
               {"error_label", figure.error_label}};
  json["references"] = Json::array();
  for (const auto& reference : figure.references) {
    json["references"].push_back(
        {{"panel", reference.panel}, {"value", reference.value}, {"label", reference.label}});
  }
  json["series"] = Json::array();
  for (const auto& series : figure.series) {
    json["series"].push_back(to_json(series));
  }
  return json;
}

FigureSeries series_of(const Json& part, const Json& system) {
  const auto name = text_at(system, "name");
  const bool many = shown_systems(part).size() > kManySystems;
  const bool of_story = std::find(kStory.begin(), kStory.end(), name) != kStory.end();
  return {.label = label_of(system),
          .color = colors_of(part).at(name),
          .x = {},
          .hidden = many && !of_story && group_of(system) != "own"};
}

std::vector<const Json*> shown_systems(const Json& part) {
  return systems_of(part, {"paper", "own"});
}

void remove_empty(std::vector<Figure>& figures) {
  for (auto& figure : figures) {
    std::erase_if(figure.series, [](const FigureSeries& series) { return series.y.empty(); });
  }
  std::erase_if(figures, [](const Figure& figure) { return figure.series.empty(); });
}

std::string meaning_of_bars(const Json& part) {
  const auto seeds = numbers(member(part, "seeds")).size();
  return seeds > 1 ? fmt::format("standard deviation over {} seeds", seeds)
                   : std::string("standard error over the questions of one seed");
}

}  // namespace loopbank
