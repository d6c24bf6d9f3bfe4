// Figures of the inner life of the models: loops, gates and states by layer, loop and kind of token.
#include <fmt/format.h>

#include "loopbank/study/figures.h"
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

std::vector<double> counted_from(double first, size_t count) {
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] = first + static_cast<double>(i);
  }
  return values;
}

/// Adds what a model has as [L][N]: a series a loop, over the layers.
void add_by_loop(Figure& figure, const ShownSystem& system, const ByLayerAndLoop& by_layer,
                 const std::string& name = "", const char* colors = "ramp") {
  const size_t num_loops = by_layer.empty() ? 0 : by_layer.front().size();
  for (size_t loop = 0; loop < num_loops; ++loop) {
    FigureSeries series{.label = fmt::format("{}loop {}", name, loop + 1),
                        .panel = system.series.label,
                        .color = ramp_color(loop, num_loops, colors)};
    for (size_t layer = 0; layer < by_layer.size(); ++layer) {
      if (loop < by_layer[layer].size()) {
        series.add(static_cast<double>(layer + 1), by_layer[layer][loop]);
      }
    }
    figure.series.push_back(std::move(series));
  }
}

Figure halting(const ShownPart& source) {
  Figure figure{.id = "halting",
                .section = "inside",
                .title = "After which loop tokens stop",
                .caption = "Mean share of the output that each loop gives (P_t), by layer.",
                .x_title = "layer",
                .y_title = "share of tokens",
                .kind = FigureKind::kStack};
  for (const auto& [system, inside] : measured_models(source)) {
    add_by_loop(figure, *system, inside->halting);
  }
  // Bars stand at names: a layer each.
  for (auto& series : figure.series) {
    for (auto& x : series.x) {
      x = figure.place_of(fmt::format("{:.0f}", x));
    }
  }
  return figure;
}

Figure loop_scales(const ShownPart& source) {
  Figure figure{.id = "loop-scale",
                .section = "inside",
                .title = "Loop scales",
                .caption =
                    "How much of what a loop computes enters the state: s_t, "
                    "softplus(alpha_t) of an alpha_t that is learned per layer and loop.",
                .x_title = "layer",
                .y_title = "loop scale"};
  for (const auto& [system, inside] : measured_models(source)) {
    if (inside->loop_scale) {
      add_by_loop(figure, *system, *inside->loop_scale);
    }
  }
  return figure;
}

Figure gates(const ShownPart& source) {
  Figure figure{.id = "gates",
                .section = "inside",
                .title = "Memory gates by layer and loop",
                .caption =
                    "How far the gates open (0 to 1), mean over tokens and channels. The "
                    "paper reports 0.42 +- 0.13 across layers for the local gate and "
                    "0.30 +- 0.03 for the global one.",
                .x_title = "layer",
                .y_title = "gate"};
  for (const auto& [system, inside] : measured_models(source)) {
    if (inside->local_gate) {
      add_by_loop(figure, *system, inside->local_gate->mean, "local, ");
    }
    if (inside->global_gate) {
      add_by_loop(figure, *system, inside->global_gate->mean, "global, ", "second");
    }
  }
  return figure;
}

/// Of each model what it has as [L][...] over its loops: a series a layer.
void add_by_layer(Figure& figure, const ShownPart& source, ByLayerAndLoop Inside::*quantity,
                  double first_loop) {
  for (const auto& [system, inside] : measured_models(source)) {
    const auto& by_layer = inside->*quantity;
    for (size_t layer = 0; layer < by_layer.size(); ++layer) {
      figure.series.push_back({.label = fmt::format("layer {}", layer + 1),
                               .panel = system->series.label,
                               .color = ramp_color(layer, by_layer.size()),
                               .x = counted_from(first_loop, by_layer[layer].size()),
                               .y = by_layer[layer]});
    }
  }
}

Figure state_norms(const ShownPart& source) {
  Figure figure{.id = "state-norm",
                .section = "inside",
                .title = "Norm of the state by loop",
                .caption =
                    "Mean of |h| / sqrt(D) behind each loop; 0 is what enters the "
                    "layer.",
                .x_title = "loop",
                .y_title = "|h| / sqrt(D)"};
  add_by_layer(figure, source, &Inside::state_norm, 0);
  return figure;
}

Figure state_changes(const ShownPart& source) {
  Figure figure{.id = "state-change",
                .section = "inside",
                .title = "Change of the state by loop",
                .caption =
                    "Mean of |h after - h before| / |h before| of each loop. A loop "
                    "near 0 leaves the state as it was.",
                .x_title = "loop",
                .y_title = "relative change"};
  add_by_layer(figure, source, &Inside::state_change, 1);
  return figure;
}

/// Adds the mean over layers of what a class of tokens has as [L]. Classes stand on the axis in the
/// order in which they appear.
void add_class(Figure& figure, FigureSeries& series, const InsideOfClass& found,
               const ByLayer& values) {
  const double place = figure.place_of(std::string(token_class_name(found.token_class)));
  if (!values.empty()) {
    series.add(place, mean_of(values));
    series.notes.push_back(fmt::format("{:.1f} % of the tokens", 100 * found.share));
  }
}

Figure loops_by_class(const ShownPart& source) {
  Figure figure{.id = "loops-by-class",
                .section = "inside",
                .title = "Expected loops by kind of token",
                .caption = "Mean over layers and the tokens of a kind.",
                .x_title = "kind of token",
                .y_title = "expected loops",
                .kind = FigureKind::kBars};
  for (const auto& [system, inside] : measured_models(source)) {
    auto series = system->series;
    for (const auto& found : inside->token_classes) {
      add_class(figure, series, found, found.expected_loops);
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

Figure gates_by_class(const ShownPart& source) {
  Figure figure{.id = "gates-by-class",
                .section = "inside",
                .title = "Memory gates by kind of token",
                .caption = "Mean over layers, loops and the tokens of a kind.",
                .x_title = "kind of token",
                .y_title = "gate",
                .kind = FigureKind::kBars};
  for (const auto& [system, inside] : measured_models(source)) {
    const auto& panel = system->series.label;
    FigureSeries local{.label = "local", .panel = panel, .color = "ramp:0.75"};
    FigureSeries global{.label = "global", .panel = panel, .color = "second:0.75"};
    for (const auto& found : inside->token_classes) {
      add_class(figure, local, found, found.local_gate);
      add_class(figure, global, found, found.global_gate);
    }
    figure.series.push_back(std::move(local));
    figure.series.push_back(std::move(global));
  }
  return figure;
}

}  // namespace

std::vector<Figure> inside_figures(const ShownPart& source) {
  return {halting(source),       loop_scales(source),    gates(source),         state_norms(source),
          state_changes(source), loops_by_class(source), gates_by_class(source)};
}

}  // namespace loopbank
