#include "loopbank/study/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "loopbank/study/figure_words.h"

namespace loopbank {
namespace {

// With more systems than this a picture starts with a few of them.
constexpr size_t kManySystems = 5;
constexpr std::array<std::string_view, 4> kStory = {"isopar", "loop3", "isoflop", "mem-g3"};
// Further systems take the colours anew.
constexpr int kColorsOfAFamily = 4;
constexpr int kColorsOfOthers = 6;

}  // namespace

std::string_view name_of(FigureKind kind) {
  constexpr std::array<std::string_view, 8> kNames = {"dots",  "bars", "across", "stack",
                                                      "lines", "path", "points", "heat"};
  return kNames.at(static_cast<size_t>(kind));
}

ShownPart shown_part(const PartResult& part) {
  const auto singles = std::count_if(part.systems.begin(), part.systems.end(),
                                     [](const auto& system) { return system.is_single(); });
  const bool many = static_cast<size_t>(singles) > kManySystems;
  ShownPart source{.part = &part,
                   .systems = {},
                   .bars = part.seeds.size() > 1
                               ? fmt::format("standard deviation over {} seeds", part.seeds.size())
                               : std::string("standard error over the questions of one seed")};
  std::map<std::string, int> taken;
  for (const auto& system : part.systems) {
    const bool of_story = std::find(kStory.begin(), kStory.end(), system.name) != kStory.end();
    const bool of_family = system.group == "paper" && !system.family.empty();
    const auto palette = of_family ? system.family : std::string("other");
    const int colors = of_family ? kColorsOfAFamily : kColorsOfOthers;
    source.systems.push_back(
        {.result = &system,
         .series = {.label = system.label,
                    .color = fmt::format("{}-{}", palette, taken[palette]++ % colors),
                    .hidden = many && !of_story && system.group != "own"}});
  }
  return source;
}

std::vector<Figure> make_figures(const ShownPart& source) {
  std::vector<Figure> figures;
  for (const auto& make :
       {score_figures, gain_figures, cost_figures, sweep_figures, thinking_figures, layer_figures,
        inside_figures, early_exit_figures, training_figures}) {
    for (auto& figure : make(source)) {
      std::erase_if(figure.series, [](const FigureSeries& series) { return series.y.empty(); });
      if (!figure.series.empty()) {
        figures.push_back(std::move(figure));
      }
    }
  }
  conclude(figures, source);
  return figures;
}

std::optional<std::pair<double, double>> FigureSeries::interval(size_t i) const {
  if (i < low.size() && i < high.size()) {
    return std::isfinite(low[i]) && std::isfinite(high[i])
               ? std::optional(std::pair(low[i], high[i]))
               : std::nullopt;
  }
  if (i < error.size() && error[i] > 0 && std::isfinite(error[i])) {
    return std::pair(y[i] - error[i], y[i] + error[i]);
  }
  return std::nullopt;
}

double Figure::place_of(const std::string& name) {
  auto place = std::find(x_names.begin(), x_names.end(), name);
  if (place == x_names.end()) {
    place = x_names.insert(place, name);
  }
  return static_cast<double>(place - x_names.begin());
}

FigureSeries ShownSystem::in_panel(const std::string& panel) const {
  auto shown = series;
  shown.hidden = false;
  shown.panel = panel;
  return shown;
}

FigureSeries ShownSystem::shown_if_single() const {
  auto shown = series;
  shown.hidden = shown.hidden && !result->is_single();
  return shown;
}

std::vector<MeasuredModel> measured_models(const ShownPart& source) {
  std::vector<MeasuredModel> models;
  for (const auto& system : source.systems) {
    if (system.result->loops > 0 && system.result->inside) {
      models.push_back({&system, &*system.result->inside});
    }
  }
  return models;
}

void add_score(FigureSeries& series, double at, const SystemResult& system, const Column& column,
               const std::string& note) {
  if (const auto* score = system.score(column)) {
    series.add(at, score->mean);
    series.error.push_back(score->bar().value_or(std::numeric_limits<double>::quiet_NaN()));
    if (!note.empty()) {
      series.notes.push_back(note);
    }
  }
}

std::string ramp_color(size_t i, size_t n, std::string_view ramp) {
  return fmt::format("{}:{:.3g}", ramp, n > 1 ? double(i) / double(n - 1) : 1.0);
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

}  // namespace loopbank
