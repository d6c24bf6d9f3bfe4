#include "loopbank/study/figures_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace loopbank {
namespace {

Figure loop_budget(const Json& part) {
  Figure figure{.id = "loop-budget",
                .section = "loops",
                .title = "BPB at every loop budget",
                .caption =
                    "Validation text read with at most so many loops a layer, by the model "
                    "of the first seed, not trained anew. A flat end says that later loops "
                    "add little.",
                .x_title = "most loops a layer",
                .y_title = "validation BPB"};
  for (const auto* system : systems_of(part)) {
    auto series = series_of(part, *system);
    const auto& inside = member(member(part, "inside"), text_at(*system, "name"));
    for (const auto& row : member(inside, "bpb_by_loops")) {
      const auto loops = number_at(row, "max_loops");
      const auto bpb = number_at(row, "bpb");
      if (loops && bpb) {
        series.x.push_back(*loops);
        series.y.push_back(*bpb);
      }
    }
    if (is_adaptive(*system)) {
      series.hidden = series.hidden && group_of(*system) != "paper";
      figure.series.push_back(std::move(series));
    }
  }
  return figure;
}

/// Adds a system to a picture of score against cost.
void add_point(FigureSeries& series, const Json& system, const char* cost,
               const ScoreColumn& column, const std::string& note) {
  const auto x = number_at(system, cost);
  const auto score = score_of(system, column.key);
  if (x && score) {
    series.x.push_back(*x);
    series.y.push_back(score->mean);
    series.error.push_back(score->bar().value_or(0.0));
    series.notes.push_back(note);
  }
}

/// The sweep's systems by rising weight, with those of the paper that are its end without a weight.
std::vector<const Json*> ponder_sweep(const Json& part) {
  auto sweep = systems_of(part, {"ponder"});
  const auto alike = [&](const Json& system) {
    return std::any_of(sweep.begin(), sweep.end(), [&](const Json* other) {
      return number_at(*other, "loops") == number_at(system, "loops") &&
             number_at(*other, "layers") == number_at(system, "layers") &&
             slots_of(*other) == slots_of(system);
    });
  };
  std::vector<const Json*> ends;
  for (const auto* system : systems_of(part, {"paper"})) {
    if (is_adaptive(*system) && alike(*system)) {
      ends.push_back(system);
    }
  }
  sweep.insert(sweep.begin(), ends.begin(), ends.end());
  std::stable_sort(sweep.begin(), sweep.end(), [](const Json* a, const Json* b) {
    return number_at(*a, "ponder_weight").value_or(0) < number_at(*b, "ponder_weight").value_or(0);
  });
  return sweep;
}

Figure ponder_trade_off(const Json& part) {
  Figure figure{.id = "ponder",
                .section = "loops",
                .title = "What a ponder weight buys",
                .caption =
                    "Score against the forward FLOPs a token that the mean loops amount to, "
                    "along the weight of the ponder term; dense systems beside it. Further "
                    "down and to the left is better.",
                .x_title = "expected forward FLOPs a token",
                .y_title = "BPB",
                .kind = FigureKind::kPoints,
                .panels_side_by_side = true,
                .error_label = meaning_of_bars(part)};
  if (systems_of(part, {"ponder"}).empty()) {
    return figure;
  }
  for (const auto& column : columns_of(part)) {
    if (column.metric != "bpb") {
      continue;
    }
    FigureSeries sweep{.label = "ponder sweep", .panel = column.title, .color = "here", .x = {}};
    for (const auto* system : ponder_sweep(part)) {
      add_point(sweep, *system, "expected_flops_per_token", column,
                fmt::format("weight {}", number_at(*system, "ponder_weight").value_or(0)));
    }
    figure.series.push_back(std::move(sweep));
    for (const auto* system : systems_of(part, {"paper"})) {
      if (!is_adaptive(*system)) {
        auto series = series_of(part, *system);
        series.hidden = false;
        series.panel = column.title;
        add_point(series, *system, "flops_per_token", column, label_of(*system));
        figure.series.push_back(std::move(series));
      }
    }
  }
  return figure;
}

Figure score_by_parameters(const Json& part) {
  Figure figure{
      .id = "parameters",
      .section = "memory",
      .title = "Score against parameters",
      .caption = fmt::format("Whether parameters in memory banks count like parameters in "
                             "layers. Lower is better; bars are the {}.",
                             meaning_of_bars(part)),
      .x_title = "parameters",
      .y_title = "BPB",
      .kind = FigureKind::kPoints,
      .panels_side_by_side = true,
      .error_label = meaning_of_bars(part)};
  for (const auto& column : columns_of(part)) {
    if (column.metric != "bpb") {
      continue;
    }
    for (const auto* system : shown_systems(part)) {
      auto series = series_of(part, *system);
      series.hidden = false;
      series.panel = column.title;
      add_point(series, *system, "parameters", column, label_of(*system));
      figure.series.push_back(std::move(series));
    }
  }
  return figure;
}

std::string slots_name(const Json& system) {
  const auto local = number_at(system, "local_slots").value_or(0);
  const auto global = number_at(system, "global_slots").value_or(0);
  return local + global == 0 ? "no memory" : fmt::format("{:.0f} + {:.0f}", local, global);
}

Figure grid_figure(const Json& part) {
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
                .error_label = meaning_of_bars(part)};
  const auto cells = grid_of(part);
  std::map<double, std::string> columns;
  std::set<double> rows;
  for (const auto& cell : cells) {
    columns.try_emplace(cell.slots, slots_name(*cell.system));
    rows.insert(cell.loops);
  }
  for (const auto& [slots, name] : columns) {
    figure.x_names.push_back(name);
  }
  for (const auto& column : columns_of(part)) {
    for (const double loops : rows) {
      FigureSeries row{.label = fmt::format("{:.0f} loop{}", loops, loops == 1 ? "" : "s"),
                       .panel = fmt::format("{}, {}", column.title, direction_of(column)),
                       .x = {}};
      for (const auto& cell : cells) {
        const auto score = score_of(*cell.system, column.key);
        if (cell.loops == loops && score) {
          row.x.push_back(
              static_cast<double>(std::distance(columns.begin(), columns.find(cell.slots))));
          row.y.push_back(score->mean);
          row.error.push_back(score->bar().value_or(0.0));
          row.notes.push_back(label_of(*cell.system));
        }
      }
      figure.series.push_back(std::move(row));
    }
  }
  return figure;
}

}  // namespace

std::vector<GridCell> grid_of(const Json& part) {
  std::vector<GridCell> cells;
  std::set<double> rows;
  std::set<double> columns;
  const auto find = [&](const GridCell& like) {
    return std::find_if(cells.begin(), cells.end(), [&](const GridCell& cell) {
      return cell.loops == like.loops && cell.slots == like.slots;
    });
  };
  for (const char* group : {"grid", "paper"}) {
    for (const auto* system : systems_of(part, {group})) {
      const GridCell cell{number_at(*system, "loops").value_or(0), slots_of(*system), system};
      const bool own = group_of(*system) == "grid";
      // The paper's systems fill rows and columns of the grid, and the column without memory.
      const bool fits = own || (is_adaptive(*system) && rows.contains(cell.loops) &&
                                (cell.slots == 0 || columns.contains(cell.slots)));
      const auto before = find(cell);
      if (fits && before == cells.end()) {
        cells.push_back(cell);
        if (own) {
          rows.insert(cell.loops);
          columns.insert(cell.slots);
        }
      } else if (fits && group_of(*before->system) == "paper") {
        before->system = system;  // the last of the paper's: gates that start open
      }
    }
  }
  return cells;
}

std::vector<Figure> cost_figures(const Json& part) {
  std::vector<Figure> figures = {loop_budget(part), ponder_trade_off(part),
                                 score_by_parameters(part), grid_figure(part)};
  remove_empty(figures);
  return figures;
}

}  // namespace loopbank
