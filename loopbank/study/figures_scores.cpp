// Figures of the scores: by system, by task, against IsoPar, by difficulty.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "loopbank/study/figures.h"

namespace loopbank {
namespace {

// More names than this are read more easily below each other.
constexpr size_t kManyNames = 6;

Figure scores_by_system(const ShownPart& source) {
  Figure figure{.id = "scores",
                .section = "scores",
                .title = "Scores by system",
                .caption = fmt::format("Each score with its {}. Accuracy is the share answered "
                                       "rightly, BPB the bits per byte of the right answer.",
                                       source.bars),
                .x_title = "system",
                .y_title = "score",
                .kind = FigureKind::kDots,
                .panels_side_by_side = true,
                .error_label = source.bars};
  for (const auto& system : source.systems) {
    if (system.result->is_single()) {
      figure.x_names.push_back(system.series.label);
    }
  }
  for (const auto& column : source.part->columns) {
    const auto panel = fmt::format("{}, {}", column.title, column.direction());
    double position = 0;
    for (const auto& system : source.systems) {
      if (system.result->is_single()) {
        auto series = system.in_panel(panel);
        add_score(series, position++, *system.result, column);
        figure.series.push_back(std::move(series));
      }
    }
    if (column.guessing) {
      figure.references.push_back({panel, *column.guessing, "guessing"});
    }
  }
  return figure;
}

/// Differences from IsoPar with the intervals that verdicts rest on.
Figure intervals(const ShownPart& source) {
  const auto& part = *source.part;
  const bool over_seeds = part.seeds.size() > 1;
  Figure figure{.id = "study-intervals",
                .section = "scores",
                .title = "Differences from IsoPar",
                .caption =
                    "Score less IsoPar's, with plain 95 % intervals; filled where the verdict, "
                    "which knows of the other tests, is better or worse.",
                .x_title = "system",
                .y_title = "difference from IsoPar",
                .kind = FigureKind::kDots,
                .panels_side_by_side = true,
                .error_label = over_seeds ? "95 % interval over seeds"
                                          : "95 % interval over the questions of one seed"};
  auto columns = part.columns;
  std::stable_partition(columns.begin(), columns.end(),
                        [](const Column& column) { return column.is_bpb(); });
  for (const auto& column : columns) {
    const auto panel = fmt::format("{}, {}", column.title, column.direction());
    for (const auto& system : source.systems) {
      const auto* compared = part.compared({system.result->name, "isopar", column.key});
      const bool is_told = compared != nullptr && !compared->estimated &&
                           (compared->seeds.has_value() || !over_seeds);
      if (!is_told) {
        continue;
      }
      const auto& difference = compared->decisive;
      auto series = system.in_panel(panel);
      series.hollow = compared->verdict == Verdict::kOpen;
      series.color = compared->verdict == Verdict::kBetter  ? "loops-0"
                     : compared->verdict == Verdict::kWorse ? "memory-1"
                                                            : "dense-1";
      series.add(figure.place_of(system.series.label), difference.difference, difference.low,
                 difference.high);
      series.notes.emplace_back(name_of(compared->verdict));
      figure.series.push_back(std::move(series));
    }
    figure.references.push_back({panel, 0.0, ""});
  }
  return figure;
}

/// Adds the changes of one column against those of `base`, here and in the paper.
void add_changes(Figure& figure, const ShownPart& source, const Column& column,
                 const SystemResult& base) {
  const auto* base_score = base.score(column);
  const auto base_paper = base.paper_score(column);
  if (base_score == nullptr || base_score->mean == 0 || base_paper.value_or(0) == 0) {
    return;
  }
  const auto panel =
      fmt::format("{} (paper: {}), {}", column.title, column.paper_title, column.direction());
  FigureSeries here{.label = "here", .panel = panel, .color = "here"};
  FigureSeries paper{.label = "paper", .panel = panel, .color = "paper"};
  double position = 0;
  for (const auto& system : source.part->systems) {
    if (system.group != "paper" || system.name == base.name) {
      continue;
    }
    if (const auto* score = system.score(column)) {
      const auto* compared = source.part->compared({system.name, base.name, column.key});
      here.add(position, 100 * (score->mean / base_score->mean - 1));
      here.error.push_back(compared == nullptr || compared->estimated
                               ? std::numeric_limits<double>::quiet_NaN()
                               : 50 * std::abs((compared->decisive.high - compared->decisive.low) /
                                               base_score->mean));
    }
    if (const auto score = system.paper_score(column)) {
      paper.add(position, 100 * (*score / *base_paper - 1));
    }
    position += 1;
  }
  figure.series.push_back(std::move(here));
  figure.series.push_back(std::move(paper));
}

Figure relative_changes(const ShownPart& source) {
  Figure figure{.id = "relative-change",
                .section = "claims",
                .title = "Change against IsoPar, here and in the paper",
                .caption =
                    "Relative change of each score against IsoPar's; the bar is the 95 % "
                    "interval of the difference. The paper measured on other data.",
                .x_title = "system",
                .y_title = "change against IsoPar, %",
                .kind = FigureKind::kAcross,
                .panels_side_by_side = true,
                .error_label = "half of the 95 % interval, in points"};
  const auto* base = source.part->find("isopar");
  if (base == nullptr) {
    return figure;
  }
  for (const auto& system : source.part->systems) {
    if (system.group == "paper" && system.name != base->name) {
      figure.x_names.push_back(system.label);
    }
  }
  for (const auto& column : source.part->columns) {
    add_changes(figure, source, column, *base);
  }
  return figure;
}

Figure scores_by_task(const ShownPart& source) {
  Figure figure{.id = "tasks",
                .section = "scores",
                .title = "BPB by task",
                .caption = "Bits per byte of the right answer, lower is better; means over seeds.",
                .x_title = "task",
                .y_title = "BPB",
                .kind = FigureKind::kBars};
  for (const auto& system : source.systems) {
    if (!system.result->is_single()) {
      continue;
    }
    auto series = system.series;
    for (const auto& task : system.result->tasks) {
      series.add(figure.place_of(task.task), task.bpb);
    }
    figure.series.push_back(std::move(series));
  }
  if (figure.x_names.size() > kManyNames) {
    figure.kind = FigureKind::kAcross;
  }
  return figure;
}

Figure scores_by_difficulty(const ShownPart& source, bool is_bpb) {
  const std::string name = is_bpb ? "BPB" : "accuracy";
  Figure figure{.id = is_bpb ? "difficulty-bpb" : "difficulty-accuracy",
                .section = "loops",
                .title = fmt::format("Reasoning {} by difficulty", name),
                .caption = fmt::format(
                    "{} of the problems of each difficulty (how many steps a "
                    "problem takes), by kind of problem; means over seeds.",
                    is_bpb ? "Bits per byte, lower is better," : "Accuracy, higher is better,"),
                .x_title = "difficulty",
                .y_title = name,
                .panels_side_by_side = true};
  const auto* column =
      find_column(source.part->columns, "reasoning", is_bpb ? Measure::kBpb : Measure::kAccuracy);
  for (const auto& system : source.systems) {
    std::map<std::string, FigureSeries> by_kind;
    for (const auto& cell : system.result->difficulty) {
      if (system.result->is_single()) {
        auto& series = by_kind.try_emplace(cell.kind, system.series).first->second;
        series.panel = cell.kind;
        series.add(static_cast<double>(cell.difficulty), is_bpb ? cell.bpb : cell.accuracy);
        series.notes.push_back(fmt::format("{} problems", cell.instances));
      }
    }
    for (auto& [kind, series] : by_kind) {
      const bool first =
          std::none_of(figure.references.begin(), figure.references.end(),
                       [&name = kind](const ReferenceLine& line) { return line.panel == name; });
      if (column != nullptr && column->guessing && first) {
        figure.references.push_back({kind, *column->guessing, "guessing"});
      }
      figure.series.push_back(std::move(series));
    }
  }
  return figure;
}

}  // namespace

std::vector<Figure> score_figures(const ShownPart& source) {
  return {scores_by_system(source),
          intervals(source),
          scores_by_task(source),
          relative_changes(source),
          scores_by_difficulty(source, /*is_bpb=*/false),
          scores_by_difficulty(source, /*is_bpb=*/true)};
}

}  // namespace loopbank
