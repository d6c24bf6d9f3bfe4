#include "loopbank/study/figures_inside.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace loopbank {
namespace {

/// A model whose inner life was measured.
struct MeasuredModel {
  const Json* system;
  const Json* json;
};

std::vector<MeasuredModel> adaptive_models(const Json& part) {
  std::vector<MeasuredModel> models;
  for (const auto* system : systems_of(part)) {
    const auto& json = member(member(part, "inside"), text_at(*system, "name"));
    if (is_adaptive(*system) && json.is_object()) {
      models.push_back({system, &json});
    }
  }
  return models;
}

/// `ramp:0.5`: the colour of the i-th of n things in order.
std::string ramp(size_t i, size_t n, const char* name = "ramp") {
  return fmt::format("{}:{:.3g}", name, n > 1 ? double(i) / double(n - 1) : 1.0);
}

std::vector<double> counted_from(double first, size_t count) {
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] = first + static_cast<double>(i);
  }
  return values;
}

Figure loops_by_layer(const Json& part) {
  Figure figure{.id = "loops-by-layer",
                .section = "inside",
                .title = "Expected loops by layer",
                .caption =
                    "Mean over the tokens of a validation text, model of the first seed. "
                    "In the paper the early layers loop least and the late ones most.",
                .x_title = "layer",
                .y_title = "expected loops",
                .error_label = "standard deviation over tokens"};
  for (const auto& [system, inside] : adaptive_models(part)) {
    auto series = series_of(part, *system);
    series.hidden = series.hidden && group_of(*system) != "paper";
    series.y = numbers(member(*inside, "expected_loops"));
    series.x = counted_from(1, series.y.size());
    series.error = numbers(member(*inside, "expected_loops_spread"));
    if (series.error.size() != series.y.size()) {
      series.error.clear();
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

/// Adds what a model has as [L][N]: a series a loop, over the layers.
void add_by_loop(Figure& figure, const Json& system, const Json& by_layer, double first_loop,
                 const std::string& name, const char* colors) {
  if (!by_layer.is_array() || by_layer.empty()) {
    return;
  }
  const size_t num_loops = numbers(by_layer.front()).size();
  for (size_t loop = 0; loop < num_loops; ++loop) {
    FigureSeries series{.label = fmt::format("{}loop {:.0f}", name, first_loop + double(loop)),
                        .panel = label_of(system),
                        .color = ramp(loop, num_loops, colors),
                        .x = {}};
    for (size_t layer = 0; layer < by_layer.size(); ++layer) {
      const auto values = numbers(by_layer[layer]);
      if (loop < values.size()) {
        series.x.push_back(static_cast<double>(layer + 1));
        series.y.push_back(values[loop]);
      }
    }
    figure.series.push_back(std::move(series));
  }
}

/// Adds what a model has as [L][...] over its loops: a series a layer.
void add_by_layer(Figure& figure, const Json& system, const Json& by_layer, double first_loop) {
  if (!by_layer.is_array()) {
    return;
  }
  for (size_t layer = 0; layer < by_layer.size(); ++layer) {
    const auto values = numbers(by_layer[layer]);
    figure.series.push_back({.label = fmt::format("layer {}", layer + 1),
                             .panel = label_of(system),
                             .color = ramp(layer, by_layer.size()),
                             .x = counted_from(first_loop, values.size()),
                             .y = values});
  }
}

Figure halting(const Json& part) {
  Figure figure{.id = "halting",
                .section = "inside",
                .title = "After which loop tokens stop",
                .caption = "Mean share of the output that each loop gives (P_t), by layer.",
                .x_title = "layer",
                .y_title = "share of tokens",
                .kind = FigureKind::kStack};
  for (const auto& [system, inside] : adaptive_models(part)) {
    add_by_loop(figure, *system, member(*inside, "halting"), 1, "", "ramp");
  }
  // Bars stand at names: a layer each.
  for (auto& series : figure.series) {
    for (auto& x : series.x) {
      x -= 1;
      if (static_cast<size_t>(x) >= figure.x_names.size()) {
        figure.x_names.push_back(fmt::format("{:.0f}", x + 1));
      }
    }
  }
  return figure;
}

Figure loop_scales(const Json& part) {
  Figure figure{.id = "loop-scale",
                .section = "inside",
                .title = "Loop scales",
                .caption =
                    "How much of what a loop computes enters the state: softplus(alpha_t), "
                    "learned per layer and loop.",
                .x_title = "layer",
                .y_title = "loop scale"};
  for (const auto& [system, inside] : adaptive_models(part)) {
    add_by_loop(figure, *system, member(*inside, "loop_scale"), 1, "", "ramp");
  }
  return figure;
}

Figure gates(const Json& part) {
  Figure figure{.id = "gates",
                .section = "inside",
                .title = "Memory gates by layer and loop",
                .caption =
                    "How far the gates open (0 to 1), mean over tokens and channels. The "
                    "paper reports 0.42 +- 0.13 across layers for the local gate and "
                    "0.30 +- 0.03 for the global one.",
                .x_title = "layer",
                .y_title = "gate"};
  for (const auto& [system, inside] : adaptive_models(part)) {
    add_by_loop(figure, *system, member(member(*inside, "local_gate"), "mean"), 1, "local, ",
                "ramp");
    add_by_loop(figure, *system, member(member(*inside, "global_gate"), "mean"), 1, "global, ",
                "second");
  }
  return figure;
}

Figure states(const Json& part, const std::string& key, double first_loop) {
  const bool norm = key == "state_norm";
  Figure figure{.id = norm ? "state-norm" : "state-change",
                .section = "inside",
                .title = norm ? "Norm of the state by loop" : "Change of the state by loop",
                .caption = norm ? "Mean of |h| / sqrt(D) behind each loop; 0 is what enters the "
                                  "layer."
                                : "Mean of |h after - h before| / |h before| of each loop. A loop "
                                  "near 0 leaves the state as it was.",
                .x_title = "loop",
                .y_title = norm ? "|h| / sqrt(D)" : "relative change"};
  for (const auto& [system, inside] : adaptive_models(part)) {
    add_by_layer(figure, *system, member(*inside, key), first_loop);
  }
  return figure;
}

/// The mean over layers of what a class has as [L], where it was measured.
void add_class(FigureSeries& series, const Json& token_class, const char* key, size_t position) {
  const auto values = numbers(member(token_class, key));
  if (!values.empty()) {
    series.x.push_back(static_cast<double>(position));
    series.y.push_back(mean_of(values));
    const auto share = number_at(token_class, "share");
    series.notes.push_back(share ? fmt::format("{:.1f} % of the tokens", 100 * *share) : "");
  }
}

/// Where a class stands on the axis; new classes join at its end.
size_t position_of(Figure& figure, const Json& token_class) {
  const auto name = text_at(token_class, "name");
  const auto found = std::find(figure.x_names.begin(), figure.x_names.end(), name);
  if (found != figure.x_names.end()) {
    return static_cast<size_t>(found - figure.x_names.begin());
  }
  figure.x_names.push_back(name);
  return figure.x_names.size() - 1;
}

Figure loops_by_class(const Json& part) {
  Figure figure{.id = "loops-by-class",
                .section = "inside",
                .title = "Expected loops by kind of token",
                .caption = "Mean over layers and the tokens of a kind.",
                .x_title = "kind of token",
                .y_title = "expected loops",
                .kind = FigureKind::kBars};
  for (const auto& [system, inside] : adaptive_models(part)) {
    auto series = series_of(part, *system);
    for (const auto& token_class : member(*inside, "token_classes")) {
      add_class(series, token_class, "expected_loops", position_of(figure, token_class));
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

Figure gates_by_class(const Json& part) {
  Figure figure{.id = "gates-by-class",
                .section = "inside",
                .title = "Memory gates by kind of token",
                .caption = "Mean over layers, loops and the tokens of a kind.",
                .x_title = "kind of token",
                .y_title = "gate",
                .kind = FigureKind::kBars};
  for (const auto& [system, inside] : adaptive_models(part)) {
    FigureSeries local{.label = "local", .panel = label_of(*system), .color = "ramp:0.75", .x = {}};
    FigureSeries global{
        .label = "global", .panel = label_of(*system), .color = "second:0.75", .x = {}};
    for (const auto& token_class : member(*inside, "token_classes")) {
      const auto position = position_of(figure, token_class);
      add_class(local, token_class, "local_gate", position);
      add_class(global, token_class, "global_gate", position);
    }
    figure.series.push_back(std::move(local));
    figure.series.push_back(std::move(global));
  }
  return figure;
}

}  // namespace

std::vector<Figure> inside_figures(const Json& part) {
  std::vector<Figure> figures = {loops_by_layer(part),
                                 halting(part),
                                 loop_scales(part),
                                 gates(part),
                                 states(part, "state_norm", 0),
                                 states(part, "state_change", 1),
                                 loops_by_class(part),
                                 gates_by_class(part)};
  remove_empty(figures);
  return figures;
}

}  // namespace loopbank
