// Figures of what happens along the training: loss, loops and gates.
#include <fmt/format.h>

#include <algorithm>

#include "loopbank/study/figures.h"
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

/// What was measured along the training of one system, the mean over its seeds.
struct History {
  std::vector<double> step;
  std::vector<double> value;
  std::vector<double> spread;  ///< standard deviation over seeds; empty for one seed
};

/// The mean over the seeds as far as all of them reach; empty where nothing was measured.
/// @param values_of  of a curve: a number a validation
template <typename Values>
History history_of(const SystemResult& system, const Values& values_of) {
  std::vector<std::vector<double>> by_seed;
  History history;
  size_t length = 0;
  for (const auto& curve : system.curves) {
    auto values = values_of(curve);
    const size_t both = std::min(curve.step.size(), values.size());
    if (both == 0) {
      continue;
    }
    length = by_seed.empty() ? both : std::min(length, both);
    if (by_seed.empty()) {
      history.step.assign(curve.step.begin(), curve.step.end());
    }
    by_seed.push_back(std::move(values));
  }
  history.step.resize(length);
  for (size_t i = 0; i < length; ++i) {
    std::vector<double> here;
    for (const auto& values : by_seed) {
      here.push_back(values[i]);
    }
    history.value.push_back(mean_of(here));
    if (here.size() > 1) {
      history.spread.push_back(deviation_of(here));
    }
  }
  return history;
}

History loss_of(const SystemResult& system) {
  return history_of(system, [](const TrainingCurve& curve) { return curve.validation_loss; });
}

Figure validation(const ShownPart& source) {
  Figure figure{.id = "validation-loss",
                .section = "training",
                .title = "Validation loss over training",
                .caption = "Mean over seeds.",
                .x_title = "training step",
                .y_title = "validation loss, nats a token",
                .error_label = "standard deviation over seeds"};
  for (const auto& system : source.systems) {
    auto series = system.series;
    auto history = loss_of(*system.result);
    series.x = std::move(history.step);
    series.y = std::move(history.value);
    series.error = std::move(history.spread);
    figure.series.push_back(std::move(series));
  }
  return figure;
}

/// What a layer does along the training: a panel a system, a line a layer.
Figure layers_over_training(const ShownPart& source, std::vector<ByLayer> TrainingCurve::*quantity,
                            const char* id, const char* title, const char* y_title) {
  Figure figure{.id = id,
                .section = "inside",
                .title = title,
                .caption = "Mean over the validation text at each step, and over seeds.",
                .x_title = "training step",
                .y_title = y_title,
                .error_label = "standard deviation over seeds"};
  for (const auto& system : source.systems) {
    const auto layers = static_cast<size_t>(system.result->loops > 0 ? system.result->layers : 0);
    for (size_t layer = 0; layer < layers; ++layer) {
      auto history = history_of(*system.result, [&](const TrainingCurve& curve) {
        std::vector<double> values;
        for (const auto& by_layer : curve.*quantity) {
          if (layer < by_layer.size()) {
            values.push_back(by_layer[layer]);
          }
        }
        return values;
      });
      figure.series.push_back({.label = fmt::format("layer {}", layer + 1),
                               .panel = system.series.label,
                               .color = ramp_color(layer, layers),
                               .x = std::move(history.step),
                               .y = std::move(history.value),
                               .error = std::move(history.spread)});
    }
  }
  return figure;
}

}  // namespace

std::vector<Figure> training_figures(const ShownPart& source) {
  return {layers_over_training(source, &TrainingCurve::loops_by_layer, "loops-over-training",
                               "Loops of each layer over training", "expected loops"),
          layers_over_training(source, &TrainingCurve::local_gates, "local-gate-over-training",
                               "Local gates over training", "gate"),
          layers_over_training(source, &TrainingCurve::global_gates, "global-gate-over-training",
                               "Global gates over training", "gate"),
          validation(source)};
}

}  // namespace loopbank
