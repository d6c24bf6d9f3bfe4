// Figures of what a score costs: loops, parameters, memory slots.
#include <fmt/format.h>

#include <iterator>
#include <map>
#include <set>

#include "loopbank/study/figures.h"
#include "loopbank/study/grid.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

Figure loop_budget(const ShownPart& source) {
  Figure figure{.id = "loop-budget",
                .section = "loops",
                .title = "BPB at every loop budget",
                .caption =
                    "Validation text read with at most so many loops a layer, by the model "
                    "of the first seed, not trained anew. A flat end says that later loops "
                    "add little.",
                .x_title = "most loops a layer",
                .y_title = "validation BPB"};
  for (const auto& [system, inside] : measured_models(source)) {
    auto series = system->shown_if_single();
    for (const auto& budget : inside->bpb_by_loops) {
      series.add(static_cast<double>(budget.max_loops), budget.bpb);
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

Figure score_by_parameters(const ShownPart& source) {
  Figure figure{
      .id = "parameters",
      .section = "memory",
      .title = "Score against parameters",
      .caption = fmt::format("Whether parameters in memory banks count like parameters in "
                             "layers. Lower is better; bars are the {}.",
                             source.bars),
      .x_title = "parameters",
      .y_title = "BPB",
      .kind = FigureKind::kPoints,
      .panels_side_by_side = true,
      .error_label = source.bars};
  for (const auto& column : source.part->columns) {
    for (const auto& system : source.systems) {
      if (column.is_bpb() && system.result->is_single()) {
        auto series = system.in_panel(column.title);
        add_score(series, system.result->parameters, *system.result, column, series.label);
        figure.series.push_back(std::move(series));
      }
    }
  }
  return figure;
}

std::string slots_name(const SystemResult& system) {
  return system.local_slots + system.global_slots == 0
             ? "no memory"
             : fmt::format("{} + {}", system.local_slots, system.global_slots);
}

Figure grid_figure(const ShownPart& source) {
  Figure figure{.id = "grid",
                .section = "together",
                .title = "Loops and memory slots",
                .caption =
                    "A row for each number of loops, a column for each size of memory (local "
                    "slots a layer + global slots). The stronger the shade, the better.",
                .x_title = "slots",
                .y_title = "loops",
                .kind = FigureKind::kHeat,
                .panels_side_by_side = true,
                .error_label = source.bars};
  const auto cells = grid_of(*source.part);
  std::map<int64_t, std::string> columns;
  std::set<int64_t> rows;
  for (const auto& cell : cells) {
    columns.try_emplace(cell.slots, slots_name(*cell.system));
    rows.insert(cell.loops);
  }
  for (const auto& [slots, name] : columns) {
    figure.x_names.push_back(name);
  }
  for (const auto& column : source.part->columns) {
    for (const auto loops : rows) {
      FigureSeries row{.label = plural(loops, "loop"),
                       .panel = fmt::format("{}, {}", column.title, column.direction()),
                       .lower_is_better = column.lower_is_better()};
      for (const auto& cell : cells) {
        if (cell.loops == loops) {
          const auto place = std::distance(columns.begin(), columns.find(cell.slots));
          add_score(row, static_cast<double>(place), *cell.system, column, cell.system->label);
        }
      }
      figure.series.push_back(std::move(row));
    }
  }
  return figure;
}

}  // namespace

std::vector<Figure> cost_figures(const ShownPart& source) {
  return {loop_budget(source), score_by_parameters(source), grid_figure(source)};
}

}  // namespace loopbank
