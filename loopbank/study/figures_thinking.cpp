// Figures of whether thinking goes where it is needed: loops against the steps behind a token.
#include <fmt/format.h>

#include "loopbank/study/figure_words.h"
#include "loopbank/study/figures.h"

namespace loopbank {
namespace {

std::string rho_text(const RankCorrelation& correlation) {
  return fmt::format("rho {:.2f}, {:.2f} to {:.2f}", correlation.rho, correlation.low,
                     correlation.high);
}

/// A line a layer and one of their mean, for one system and task.
void add_thinking(Figure& figure, const std::string& panel, const LoopsAgainstSteps& thinking) {
  const size_t layers = thinking.by_layer.size();
  for (size_t layer = 0; layer < layers; ++layer) {
    FigureSeries series{
        .label = fmt::format("layer {} ({})", layer + 1, rho_text(thinking.by_layer[layer])),
        .panel = panel,
        .color = ramp_color(layer, layers)};
    for (const auto& cell : thinking.by_steps) {
      if (layer < cell.loops_by_layer.size()) {
        series.add(static_cast<double>(cell.steps), cell.loops_by_layer[layer]);
        series.notes.push_back(fmt::format("{} tokens", cell.tokens));
      }
    }
    figure.series.push_back(std::move(series));
  }
  FigureSeries mean{.label = fmt::format("mean ({})", rho_text(thinking.correlation)),
                    .panel = panel,
                    .color = "second:1"};
  for (const auto& cell : thinking.by_steps) {
    mean.add(static_cast<double>(cell.steps), cell.loops);
    mean.notes.push_back(fmt::format("{} tokens", cell.tokens));
  }
  figure.series.push_back(std::move(mean));
}

/// Of systems with two seeds or more.
std::string thinking_words(const std::vector<std::string>& rising,
                           const std::vector<std::string>& falling, size_t num_seeds) {
  if (auto one_seed = one_seed_words(num_seeds); !one_seed.empty()) {
    return one_seed;
  }
  if (rising.empty() && falling.empty()) {
    return "In no system do loops go with the steps: every interval of rho holds 0.";
  }
  std::string text;
  if (!rising.empty()) {
    text = fmt::format("Tokens with more steps behind them take more loops in {}.", listed(rising));
  }
  if (!falling.empty()) {
    text += fmt::format("{}Tokens with more steps behind them take fewer loops in {}.",
                        text.empty() ? "" : " ", listed(falling));
  }
  return text + " In the others the interval of rho holds 0.";
}

}  // namespace

std::vector<Figure> thinking_figures(const ShownPart& source) {
  Figure figure{.id = "thinking",
                .section = "inside",
                .title = "Loops against the steps behind a token",
                .caption =
                    "Expected loops at the tokens of right answers, by the consecutive steps that "
                    "lie behind a token, all seeds' together; rho is Spearman's rank correlation "
                    "with its 95 % interval.",
                .x_title = "steps",
                .y_title = "expected loops"};
  std::vector<std::string> rising;
  std::vector<std::string> falling;
  for (const auto& system : source.systems) {
    if (!system.result->is_single()) {
      continue;
    }
    for (const auto& thinking : system.result->thinking) {
      const auto panel = fmt::format("{}, {}", system.series.label, thinking.task);
      add_thinking(figure, panel, thinking);
      const auto words = fmt::format("{} (rho {:.2f})", panel, thinking.correlation.rho);
      if (system.result->seeds.size() > 1 && thinking.correlation.low > 0) {
        rising.push_back(words);
      } else if (system.result->seeds.size() > 1 && thinking.correlation.high < 0) {
        falling.push_back(words);
      }
    }
  }
  figure.conclusion = thinking_words(rising, falling, source.part->seeds.size());
  return {figure};
}

}  // namespace loopbank
