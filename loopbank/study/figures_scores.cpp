#include "loopbank/study/figures_scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace loopbank {
namespace {

// More names than this are read more easily below each other.
constexpr size_t kManyNames = 6;

Figure scores_by_system(const Json& part) {
  Figure figure{.id = "scores",
                .section = "scores",
                .title = "Scores by system",
                .caption = fmt::format("Each score with its {}. Accuracy is the share answered "
                                       "rightly, BPB the bits a byte of the right answer.",
                                       meaning_of_bars(part)),
                .x_title = "system",
                .y_title = "score",
                .kind = FigureKind::kDots,
                .panels_side_by_side = true,
                .error_label = meaning_of_bars(part)};
  for (const auto* system : shown_systems(part)) {
    figure.x_names.push_back(label_of(*system));
  }
  for (const auto& column : columns_of(part)) {
    const auto panel = fmt::format("{}, {}", column.title, direction_of(column));
    double position = 0;
    for (const auto* system : shown_systems(part)) {
      if (const auto score = score_of(*system, column.key)) {
        auto series = series_of(part, *system);
        series.hidden = false;
        series.panel = panel;
        series.x = {position};
        series.y = {score->mean};
        series.error = {score->bar().value_or(0.0)};
        figure.series.push_back(std::move(series));
      }
      position += 1;
    }
    if (column.chance) {
      figure.references.push_back({panel, *column.chance, "guessing"});
    }
  }
  return figure;
}

/// Half of the 95 % interval of the difference from IsoPar, relative to IsoPar's score.
double relative_error(const Json& system, const ScoreColumn& column, double base) {
  const auto& against = member(member(member(system, "against"), "isopar"), column.key);
  const auto low = number_at(against, "low");
  const auto high = number_at(against, "high");
  return low && high ? 50 * std::abs((*high - *low) / base) : 0.0;
}

Figure relative_changes(const Json& part) {
  Figure figure{.id = "relative-change",
                .section = "claims",
                .title = "Change against IsoPar, here and in the paper",
                .caption =
                    "Relative change of each score against IsoPar's; the bar is the 95 % "
                    "interval over the questions. The paper measured on other data.",
                .x_title = "system",
                .y_title = "change against IsoPar, %",
                .kind = FigureKind::kAcross,
                .panels_side_by_side = true,
                .error_label = "half of the 95 % interval, in points"};
  const auto* base = find_system(part, "isopar");
  if (base == nullptr) {
    return figure;
  }
  std::vector<const Json*> others;
  for (const auto* system : systems_of(part, {"paper"})) {
    if (system != base) {
      others.push_back(system);
      figure.x_names.push_back(label_of(*system));
    }
  }
  for (const auto& column : columns_of(part)) {
    const auto base_score = score_of(*base, column.key);
    const auto base_paper = paper_score(*base, column);
    if (!base_score || !base_paper || base_score->mean == 0 || *base_paper == 0) {
      continue;
    }
    const auto panel =
        fmt::format("{} (paper: {}), {}", column.title, column.paper_title, direction_of(column));
    FigureSeries here{.label = "here", .panel = panel, .color = "here", .x = {}};
    FigureSeries paper{.label = "paper", .panel = panel, .color = "paper", .x = {}};
    for (size_t i = 0; i < others.size(); ++i) {
      if (const auto score = score_of(*others[i], column.key)) {
        here.x.push_back(static_cast<double>(i));
        here.y.push_back(100 * (score->mean / base_score->mean - 1));
        here.error.push_back(relative_error(*others[i], column, base_score->mean));
      }
      if (const auto score = paper_score(*others[i], column)) {
        paper.x.push_back(static_cast<double>(i));
        paper.y.push_back(100 * (*score / *base_paper - 1));
      }
    }
    figure.series.push_back(std::move(here));
    figure.series.push_back(std::move(paper));
  }
  return figure;
}

Figure scores_by_task(const Json& part) {
  Figure figure{.id = "tasks",
                .section = "scores",
                .title = "BPB by task",
                .caption = "Bits a byte of the right answer, lower is better; means over seeds.",
                .x_title = "task",
                .y_title = "BPB",
                .kind = FigureKind::kBars};
  for (const auto* system : shown_systems(part)) {
    auto series = series_of(part, *system);
    for (const auto& task : member(*system, "tasks")) {
      const auto name = text_at(task, "task");
      auto found = std::find(figure.x_names.begin(), figure.x_names.end(), name);
      if (found == figure.x_names.end()) {
        found = figure.x_names.insert(found, name);
      }
      if (const auto bpb = number_at(task, "bpb")) {
        series.x.push_back(static_cast<double>(found - figure.x_names.begin()));
        series.y.push_back(*bpb);
      }
    }
    figure.series.push_back(std::move(series));
  }
  if (figure.x_names.size() > kManyNames) {
    figure.kind = FigureKind::kAcross;
  }
  return figure;
}

Figure difficulty(const Json& part, const std::string& metric, const std::string& title) {
  Figure figure{.id = "difficulty-" + metric,
                .section = "loops",
                .title = fmt::format("Reasoning {} by difficulty", title),
                .caption = fmt::format("{} of the problems of each difficulty (how many steps a "
                                       "problem takes), by kind of problem; means over seeds.",
                                       metric == "bpb" ? "Bits a byte, lower is better,"
                                                       : "Accuracy, higher is better,"),
                .x_title = "difficulty",
                .y_title = title,
                .panels_side_by_side = true};
  const auto column = find_column(part, "reasoning", metric);
  for (const auto* system : shown_systems(part)) {
    std::map<std::string, FigureSeries> by_kind;
    for (const auto& row : member(*system, "difficulty")) {
      const auto x = number_at(row, "difficulty");
      const auto y = number_at(row, metric);
      const auto kind = text_at(row, "kind");
      if (!x || !y) {
        continue;
      }
      auto& series = by_kind.try_emplace(kind, series_of(part, *system)).first->second;
      series.panel = kind;
      series.x.push_back(*x);
      series.y.push_back(*y);
      const auto count = number_at(row, "instances");
      series.notes.push_back(count ? fmt::format("{:.0f} problems", *count) : "");
    }
    for (auto& [kind, series] : by_kind) {
      figure.series.push_back(std::move(series));
    }
  }
  if (column && column->chance) {
    for (const auto& panel : panels_of(figure)) {
      figure.references.push_back({panel, *column->chance, "guessing"});
    }
  }
  return figure;
}

}  // namespace

std::vector<Figure> score_figures(const Json& part) {
  std::vector<Figure> figures = {scores_by_system(part), scores_by_task(part),
                                 relative_changes(part), difficulty(part, "accuracy", "accuracy"),
                                 difficulty(part, "bpb", "BPB")};
  remove_empty(figures);
  return figures;
}

}  // namespace loopbank
