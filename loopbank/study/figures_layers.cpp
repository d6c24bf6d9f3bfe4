// Figures of what all seeds of a system share inside: when layers begin to loop, how much each loops
// in the end, how far its gates open.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "loopbank/study/figure_words.h"
#include "loopbank/study/figures.h"
#include "loopbank/study/loop_onset.h"
#include "loopbank/support/progress.h"
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

// The paper's loops grow once the validation loss is under it.
constexpr double kPaperOnsetLoss = 3.27;

std::string onset_words(const SystemResult& system, const std::vector<LoopOnset>& onsets) {
  std::vector<double> losses;
  for (const auto& onset : onsets) {
    losses.push_back(onset.validation_loss);
  }
  auto text = fmt::format("{} in {} of {}", system.label, onsets.size(),
                          plural(system.curves.size(), "seed"));
  if (losses.size() > 1) {
    text += fmt::format(" at {:.2f} +- {:.2f} nats", mean_of(losses), deviation_of(losses));
  }
  return text;
}

Figure phase(const ShownPart& source) {
  Figure figure{
      .id = "phase",
      .section = "inside",
      .title = "When layers begin to loop",
      .caption =
          "Mean loops against validation loss along the training, which runs from left "
          "to right; a line a seed. A large mark is where loops begin to grow: a tenth of "
          "their later range above their minimum. In the paper they grow only once the loss "
          "has fallen under 3.27 +- 0.59, on other data and another vocabulary.",
      .x_title = "validation loss, nats a token (falling)",
      .y_title = "mean loops",
      .kind = FigureKind::kPath,
      .x_falls = true};
  std::vector<std::string> found;
  size_t fewest = source.part->seeds.size();
  for (const auto& system : source.systems) {
    if (system.result->loops == 0) {
      continue;
    }
    const auto line = system.shown_if_single();
    for (const auto& curve : system.result->curves) {
      auto series = line;
      for (size_t i = 0; i < std::min(curve.validation_loss.size(), curve.mean_loops.size()); ++i) {
        series.add(curve.validation_loss[i], curve.mean_loops[i]);
        series.notes.push_back(fmt::format("seed {}, step {}", curve.seed, curve.step.at(i)));
      }
      figure.series.push_back(std::move(series));
    }
    const auto onsets = loop_onsets(*system.result);
    auto marks = line;
    marks.apart = true;
    for (const auto& onset : onsets) {
      marks.add(onset.validation_loss, onset.mean_loops);
      marks.notes.push_back(fmt::format("seed {}, step {}", onset.seed, onset.step));
    }
    figure.series.push_back(std::move(marks));
    if (!line.hidden && !system.result->curves.empty()) {
      found.push_back(onset_words(*system.result, onsets));
      fewest = std::min(fewest, system.result->curves.size());
    }
  }
  if (!found.empty()) {
    figure.references.push_back({"", kPaperOnsetLoss, "the paper's 3.27", /*of_x=*/true});
    figure.conclusion = one_seed_words(fewest);
    if (figure.conclusion.empty()) {
      figure.conclusion = fmt::format("Loops begin to grow: {}.", listed(found));
    }
  }
  return figure;
}

/// [L] of each seed at its last validation; seeds without it are left out.
std::vector<ByLayer> last_by_seed(const SystemResult& system,
                                  std::vector<ByLayer> TrainingCurve::*quantity) {
  std::vector<ByLayer> by_seed;
  for (const auto& curve : system.curves) {
    const auto& values = curve.*quantity;
    if (!values.empty() && !values.back().empty() &&
        (by_seed.empty() || values.back().size() == by_seed.front().size())) {
      by_seed.push_back(values.back());
    }
  }
  return by_seed;
}

void add_layers(FigureSeries& series, const std::vector<ByLayer>& by_seed) {
  for (size_t layer = 0; !by_seed.empty() && layer < by_seed.front().size(); ++layer) {
    std::vector<double> values;
    for (const auto& layers : by_seed) {
      values.push_back(layers[layer]);
    }
    add_mean_over_seeds(series, static_cast<double>(layer + 1), values);
  }
}

/// The last layer's value less the first one's, over the seeds; nothing for one seed or layer.
std::optional<Difference> rise_of(const std::vector<ByLayer>& by_seed) {
  std::vector<double> rises;
  for (const auto& layers : by_seed) {
    if (layers.size() > 1) {
      rises.push_back(layers.back() - layers.front());
    }
  }
  return student_difference(rises);
}

/// @param rises  what was found of each system: its name and its rise
std::string rise_words(
    const char* quantity, size_t num_seeds,
    const std::vector<std::pair<std::string, std::optional<Difference>>>& rises) {
  std::vector<std::string> sure;
  for (const auto& [name, rise] : rises) {
    if (rise && rise->excludes_zero()) {
      sure.push_back(fmt::format("{} by {:+.2f} [{:+.2f}, {:+.2f}]", name, rise->difference,
                                 rise->low, rise->high));
    }
  }
  if (auto one_seed = one_seed_words(num_seeds); !one_seed.empty()) {
    return one_seed;
  }
  return sure.empty()
             ? fmt::format("Over {} the {} of first and last layer are told apart in no system.",
                           plural(num_seeds, "seed"), quantity)
             : fmt::format(
                   "Over {}, with 95 % intervals, the {} of the last layer differ from the first "
                   "one's in {}; in "
                   "the others they are too near to tell.",
                   plural(num_seeds, "seed"), quantity, listed(sure));
}

Figure loops_by_layer(const ShownPart& source) {
  Figure figure{.id = "loops-by-layer",
                .section = "inside",
                .title = "Expected loops by layer",
                .caption =
                    "Mean over the validation text at the end of training and over seeds. In the "
                    "paper the early layers loop least and the late ones most.",
                .x_title = "layer",
                .y_title = "expected loops",
                .error_label = kSeedsInterval};
  std::vector<std::pair<std::string, std::optional<Difference>>> rises;
  for (const auto& system : source.systems) {
    const auto by_seed = last_by_seed(*system.result, &TrainingCurve::loops_by_layer);
    auto series = system.shown_if_single();
    if (system.result->loops > 1) {
      add_layers(series, by_seed);
    }
    if (!series.hidden && !series.y.empty()) {
      rises.emplace_back(series.label, rise_of(by_seed));
    }
    figure.series.push_back(std::move(series));
  }
  figure.conclusion = rise_words("loops", source.part->seeds.size(), rises);
  return figure;
}

Figure gates_by_layer(const ShownPart& source) {
  Figure figure{.id = "gates-by-layer",
                .section = "inside",
                .title = "Memory gates by layer",
                .caption =
                    "How far the gates open (0 to 1) at the end of training, mean over the "
                    "validation text, loops, channels and seeds. The paper reports 0.42 +- 0.13 "
                    "across layers for the local gate and 0.30 +- 0.03 for the global one.",
                .x_title = "layer",
                .y_title = "gate",
                .panels_side_by_side = true,
                .error_label = kSeedsInterval};
  std::vector<std::pair<std::string, std::optional<Difference>>> rises;
  for (const auto& [panel, quantity] : {std::pair("local gates", &TrainingCurve::local_gates),
                                        std::pair("global gates", &TrainingCurve::global_gates)}) {
    for (const auto& system : source.systems) {
      const auto by_seed = last_by_seed(*system.result, quantity);
      auto series = system.shown_if_single();
      series.panel = panel;
      add_layers(series, by_seed);
      if (!series.hidden && !series.y.empty()) {
        rises.emplace_back(fmt::format("{} ({})", series.label, panel), rise_of(by_seed));
      }
      figure.series.push_back(std::move(series));
    }
  }
  figure.conclusion = rise_words("gates", source.part->seeds.size(), rises);
  return figure;
}

}  // namespace

std::vector<Figure> layer_figures(const ShownPart& source) {
  return {phase(source), loops_by_layer(source), gates_by_layer(source)};
}

}  // namespace loopbank
