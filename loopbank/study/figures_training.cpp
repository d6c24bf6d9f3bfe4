#include "loopbank/study/figures_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace loopbank {
namespace {

/// What was measured along the training of one system, the mean over its seeds.
struct History {
  std::vector<double> step;
  std::vector<double> value;
  std::vector<double> spread;  ///< standard deviation over seeds; empty for one seed
};

/// The values of one seed under a key: a number a step, or the layer's of a list a step.
std::vector<double> values_of(const Json& curve, const std::string& key,
                              std::optional<size_t> layer) {
  if (!layer) {
    return numbers(member(curve, key));
  }
  std::vector<double> values;
  for (const auto& by_layer : member(curve, key)) {
    const auto row = numbers(by_layer);
    if (*layer < row.size()) {
      values.push_back(row[*layer]);
    }
  }
  return values;
}

/// The mean over the seeds as far as all of them reach; empty where nothing was measured.
History history_of(const Json& part, const Json& system, const std::string& key,
                   std::optional<size_t> layer = {}) {
  std::vector<std::vector<double>> by_seed;
  History history;
  size_t length = 0;
  for (const auto& curve : member(member(part, "curves"), text_at(system, "name"))) {
    auto steps = numbers(member(curve, "step"));
    auto values = values_of(curve, key, layer);
    const size_t both = std::min(steps.size(), values.size());
    if (both == 0) {
      continue;
    }
    length = by_seed.empty() ? both : std::min(length, both);
    if (by_seed.empty()) {
      history.step = std::move(steps);
    }
    by_seed.push_back(std::move(values));
  }
  history.step.resize(length);
  const auto count = static_cast<double>(by_seed.size());
  for (size_t i = 0; i < length; ++i) {
    double sum = 0.0;
    for (const auto& values : by_seed) {
      sum += values[i];
    }
    double squares = 0.0;
    for (const auto& values : by_seed) {
      squares += (values[i] - sum / count) * (values[i] - sum / count);
    }
    history.value.push_back(sum / count);
    if (by_seed.size() > 1) {
      history.spread.push_back(std::sqrt(squares / (count - 1)));
    }
  }
  return history;
}

Figure validation(const Json& part) {
  Figure figure{.id = "validation-loss",
                .section = "training",
                .title = "Validation loss over training",
                .caption = "Mean over seeds.",
                .x_title = "training step",
                .y_title = "validation loss, nats a token",
                .error_label = "standard deviation over seeds"};
  for (const auto* system : systems_of(part)) {
    auto series = series_of(part, *system);
    auto history = history_of(part, *system, "validation_loss");
    series.x = std::move(history.step);
    series.y = std::move(history.value);
    series.error = std::move(history.spread);
    figure.series.push_back(std::move(series));
  }
  return figure;
}

Figure loops_against_loss(const Json& part) {
  Figure figure{.id = "loops-against-loss",
                .section = "inside",
                .title = "When layers begin to loop",
                .caption =
                    "Mean loops against validation loss along the training, which runs from "
                    "left to right. In the paper loops grow only once the loss has fallen "
                    "under 3.27 +- 0.59, on other data and another vocabulary.",
                .x_title = "validation loss, nats a token (falling)",
                .y_title = "mean loops",
                .kind = FigureKind::kPath,
                .x_falls = true};
  for (const auto* system : systems_of(part)) {
    const auto loss = history_of(part, *system, "validation_loss");
    const auto loops = history_of(part, *system, "mean_loops");
    const size_t length = std::min(loss.value.size(), loops.value.size());
    if (!is_adaptive(*system)) {
      continue;
    }
    auto series = series_of(part, *system);
    series.hidden = series.hidden && group_of(*system) != "paper";
    for (size_t i = 0; i < length; ++i) {
      series.x.push_back(loss.value[i]);
      series.y.push_back(loops.value[i]);
      series.notes.push_back(fmt::format("step {:.0f}", loss.step[i]));
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

/// What a layer does along the training: a panel a system, a line a layer.
Figure layers_over_training(const Json& part, const std::string& id, const std::string& key,
                            const std::string& title, const std::string& y_title) {
  Figure figure{.id = id,
                .section = "inside",
                .title = title,
                .caption = "Mean over the validation text at each step, and over seeds.",
                .x_title = "training step",
                .y_title = y_title,
                .error_label = "standard deviation over seeds"};
  for (const auto* system : systems_of(part)) {
    const auto layers = static_cast<size_t>(number_at(*system, "layers").value_or(0));
    for (size_t layer = 0; is_adaptive(*system) && layer < layers; ++layer) {
      auto history = history_of(part, *system, key, layer);
      figure.series.push_back(
          {.label = fmt::format("layer {}", layer + 1),
           .panel = label_of(*system),
           .color = fmt::format("ramp:{:.3g}", layers > 1 ? double(layer) / double(layers - 1) : 1),
           .x = std::move(history.step),
           .y = std::move(history.value),
           .error = std::move(history.spread)});
    }
  }
  return figure;
}

}  // namespace

std::vector<Figure> training_figures(const Json& part) {
  std::vector<Figure> figures = {
      loops_against_loss(part),
      layers_over_training(part, "loops-over-training", "loops_by_layer",
                           "Loops of each layer over training", "expected loops"),
      layers_over_training(part, "local-gate-over-training", "local_gates",
                           "Local gates over training", "gate"),
      layers_over_training(part, "global-gate-over-training", "global_gates",
                           "Global gates over training", "gate"),
      validation(part)};
  remove_empty(figures);
  return figures;
}

}  // namespace loopbank
