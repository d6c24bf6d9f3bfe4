#include "loopbank/study/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

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
  const auto is_single = [](const SystemResult& system) {
    return system.group == "paper" || system.group == "own";
  };
  const auto singles = std::count_if(part.systems.begin(), part.systems.end(), is_single);
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
                    .hidden = many && !of_story && system.group != "own"},
         .is_single = is_single(system)});
  }
  return source;
}

std::vector<Figure> make_figures(const ShownPart& source) {
  std::vector<Figure> figures;
  for (const auto& make : {score_figures, cost_figures, inside_figures, training_figures}) {
    for (auto& figure : make(source)) {
      std::erase_if(figure.series, [](const FigureSeries& series) { return series.y.empty(); });
      if (!figure.series.empty()) {
        figures.push_back(std::move(figure));
      }
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

}  // namespace loopbank
