// Figures of systems that differ in one setting: what each of its values costs and brings.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "loopbank/study/figure_words.h"
#include "loopbank/study/figures.h"
#include "loopbank/study/sweep.h"
#include "loopbank/support/progress.h"
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

using Sweep = std::vector<const SystemResult*>;  // by rising value

/// What is measured of each system of a sweep.
struct SweepQuantity {
  std::string panel;
  std::vector<double> (*by_seed)(const SystemResult&, const Column*);
  const Column* column = nullptr;
};

std::vector<double> scores_of(const SystemResult& system, const Column* column) {
  const auto* score = system.score(*column);
  return score == nullptr ? std::vector<double>() : score->by_seed;
}

/// None where a seed's is not known.
std::vector<double> losses_by_seed(const SystemResult& system, const Column* /*column*/) {
  auto losses = last_losses(system);
  const bool all_known =
      std::none_of(losses.begin(), losses.end(), [](double loss) { return std::isnan(loss); });
  return all_known ? losses : std::vector<double>();
}

std::vector<double> flops_by_seed(const SystemResult& system, const Column* /*column*/) {
  return system.expected_flops_by_seed;
}

std::vector<SweepQuantity> quantities_of(const PartResult& part) {
  std::vector<SweepQuantity> quantities = {{"validation loss, nats a token", losses_by_seed},
                                           {"expected forward FLOPs a token", flops_by_seed}};
  for (const auto& column : part.columns) {
    if (column.is_bpb()) {
      quantities.push_back({fmt::format("{}, lower is better", column.title), scores_of, &column});
    }
  }
  return quantities;
}

/// What separates the values of a sweep from its first one, beyond the noise of common seeds.
std::string sweep_words(const PartResult& part, const Sweep& sweep,
                        std::string (*name)(const SystemResult&)) {
  std::vector<std::string> found;
  size_t most_seeds = 0;
  for (size_t i = 1; i < sweep.size(); ++i) {
    std::vector<std::string> lowered;
    std::vector<std::string> raised;
    for (const auto& quantity : quantities_of(part)) {
      const auto differences =
          paired_differences(*sweep[i], quantity.by_seed(*sweep[i], quantity.column), *sweep[0],
                             quantity.by_seed(*sweep[0], quantity.column));
      most_seeds = std::max(most_seeds, differences.size());
      const auto over_seeds = student_difference(differences);
      if (over_seeds && over_seeds->excludes_zero()) {
        (over_seeds->high < 0 ? lowered : raised)
            .push_back(quantity.panel.substr(0, quantity.panel.find(',')));
      }
    }
    std::vector<std::string> effects;
    for (const auto& [verb, quantities] :
         {std::pair("lowers", lowered), std::pair("raises", raised)}) {
      if (!quantities.empty()) {
        effects.push_back(fmt::format("{} {}", verb, listed(quantities)));
      }
    }
    if (!effects.empty()) {
      found.push_back(fmt::format("{} {}", name(*sweep[i]), fmt::join(effects, ", ")));
    }
  }
  if (auto one_seed = one_seed_words(most_seeds); !one_seed.empty()) {
    return one_seed;
  }
  return found.empty()
             ? fmt::format("Against {} nothing is told apart over the common seeds.",
                           name(*sweep[0]))
             : fmt::format("Against {}, beyond the noise of {}: {}. The rest is not told apart.",
                           name(*sweep[0]), plural(most_seeds, "seed"),
                           fmt::format("{}", fmt::join(found, "; ")));
}

void add_sweep(Figure& figure, const PartResult& part, const Sweep& sweep,
               std::string (*name)(const SystemResult&)) {
  if (sweep.size() < 2) {
    return;
  }
  for (const auto& quantity : quantities_of(part)) {
    FigureSeries series{.label = "value", .panel = quantity.panel, .color = "here"};
    for (const auto* system : sweep) {
      const auto by_seed = quantity.by_seed(*system, quantity.column);
      const double place = figure.place_of(name(*system));
      if (!by_seed.empty()) {
        add_mean_over_seeds(series, place, by_seed,
                            fmt::format("{}, {}", system->label, plural(by_seed.size(), "seed")));
      }
    }
    figure.series.push_back(std::move(series));
  }
  figure.conclusion = sweep_words(part, sweep, name);
}

std::string weight_name(const SystemResult& system) {
  return system.ponder_weight == 0 ? fmt::format("{}, weight 0", system.label)
                                   : fmt::format("weight {}", system.ponder_weight);
}

std::string bias_name(const SystemResult& system) {
  return fmt::format("{}, bias {:g}", system.label, system.router_bias);
}

Figure ponder_trade_off(const ShownPart& source) {
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
                .error_label = source.bars};
  const auto sweep = sweep_of(*source.part, "ponder", &SystemResult::ponder_weight);
  for (const auto& column : source.part->columns) {
    if (!column.is_bpb() || sweep.empty()) {
      continue;
    }
    FigureSeries along{.label = "ponder sweep", .panel = column.title, .color = "here"};
    for (const auto* system : sweep) {
      add_score(along, system->expected_flops, *system, column,
                fmt::format("weight {}", system->ponder_weight));
    }
    figure.series.push_back(std::move(along));
    for (const auto& system : source.systems) {
      if (system.result->group == "paper" && system.result->loops == 0) {
        auto series = system.in_panel(column.title);
        add_score(series, system.result->forward_flops, *system.result, column, series.label);
        figure.series.push_back(std::move(series));
      }
    }
  }
  if (sweep.size() > 1) {
    figure.conclusion = sweep_words(*source.part, sweep, weight_name);
  }
  return figure;
}

Figure ponder_weight(const ShownPart& source) {
  Figure figure{.id = "ponder-weight",
                .section = "loops",
                .title = "The weight of the ponder term against loss and FLOPs",
                .caption = "Means over seeds.",
                .x_title = "ponder weight",
                .y_title = "value",
                .kind = FigureKind::kDots,
                .panels_side_by_side = true,
                .error_label = kSeedsInterval};
  add_sweep(figure, *source.part, sweep_of(*source.part, "ponder", &SystemResult::ponder_weight),
            weight_name);
  return figure;
}

Figure router_bias(const ShownPart& source) {
  Figure figure{.id = "router-bias",
                .section = "loops",
                .title = "The initial bias of the router against loss and FLOPs",
                .caption =
                    "Systems that differ in nothing else, means over seeds. A large bias lets "
                    "tokens stop early when training begins.",
                .x_title = "router bias",
                .y_title = "value",
                .kind = FigureKind::kDots,
                .panels_side_by_side = true,
                .error_label = kSeedsInterval};
  add_sweep(figure, *source.part, sweep_of(*source.part, "router", &SystemResult::router_bias),
            bias_name);
  return figure;
}

}  // namespace

std::vector<Figure> sweep_figures(const ShownPart& source) {
  return {ponder_trade_off(source), ponder_weight(source), router_bias(source)};
}

}  // namespace loopbank
