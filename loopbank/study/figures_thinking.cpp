// Figures of whether thinking goes where it is needed: loops against the steps behind a token.
#include <fmt/format.h>

#include "loopbank/study/figure_words.h"
#include "loopbank/study/figures.h"

namespace loopbank {
namespace {

std::string rho_text(const RankCorrelation& correlation) {
  if (!correlation.has_interval) {
    return fmt::format("rho {:.2f}, no interval", correlation.rho);
  }
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

/// What rho tells of systems with two seeds or more.
struct ThinkingFindings {
  std::vector<std::string> rising = {};
  std::vector<std::string> falling = {};
  std::vector<std::string> open = {};
  std::vector<std::string> of_one_seed = {};
  SeedCounts seeds = {};
};

std::string thinking_words(const ThinkingFindings& found) {
  if (found.rising.empty() && found.falling.empty() && found.open.empty()) {
    return one_seed_words(1);
  }
  auto text = fmt::format("Over {}:", found.seeds.words());
  if (!found.rising.empty()) {
    text += fmt::format(" Tokens with more steps behind them take more loops in {}.",
                        listed(found.rising));
  }
  if (!found.falling.empty()) {
    text += fmt::format(" Tokens with more steps behind them take fewer loops in {}.",
                        listed(found.falling));
  }
  if (!found.open.empty()) {
    text += fmt::format(
        " Whether loops go with the steps cannot be told in {}: no interval of rho that lies on "
        "one side of 0.",
        listed(found.open));
  }
  if (!found.of_one_seed.empty()) {
    text +=
        fmt::format(" One seed, of which nothing can be concluded: {}.", listed(found.of_one_seed));
  }
  return text;
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
  ThinkingFindings found;
  for (const auto& system : source.systems) {
    if (!system.result->is_single()) {
      continue;
    }
    for (const auto& thinking : system.result->thinking) {
      const auto panel = fmt::format("{}, {}", system.series.label, thinking.task);
      add_thinking(figure, panel, thinking);
      const auto words = fmt::format("{} (rho {:.2f})", panel, thinking.correlation.rho);
      if (thinking.seeds < 2) {
        found.of_one_seed.push_back(panel);
        continue;
      }
      found.seeds.add(static_cast<size_t>(thinking.seeds));
      auto& alike = !thinking.correlation.is_clear() ? found.open
                    : thinking.correlation.low > 0   ? found.rising
                                                     : found.falling;
      alike.push_back(words);
    }
  }
  figure.conclusion = thinking_words(found);
  return {figure};
}

}  // namespace loopbank
