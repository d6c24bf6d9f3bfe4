// Figures of what systems gain on others as they see more tokens.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "loopbank/study/figure_words.h"
#include "loopbank/study/figures.h"
#include "loopbank/study/gain.h"
#include "loopbank/study/sweep.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

/// Two systems and how their gain is shown.
struct GainPair {
  const SystemResult* one;
  const SystemResult* other;
  FigureSeries series;  ///< without a point
};

/// What the gains of a figure tell, gathered while it is made.
struct GainFindings {
  std::vector<std::string> better;
  std::vector<std::string> worse;
  size_t fewest_seeds = std::numeric_limits<size_t>::max();
  bool fitted = false;
};

std::string crossing_words(const GainFit& fit, double last_tokens) {
  if (!fit.crossing) {
    return "";
  }
  const auto& crossing = *fit.crossing;
  return fmt::format(", which {} 0 at {} tokens [{}, {}]",
                     crossing.tokens > last_tokens ? "would cross" : "crosses",
                     format_count(crossing.tokens), format_count(crossing.low),
                     format_count(crossing.high));
}

void note_trend(GainFindings& findings, const GainPair& pair, const Column& column,
                const GainCurve& curve) {
  findings.fewest_seeds = std::min(findings.fewest_seeds, curve.seeds.size());
  if (!curve.fit || pair.series.hidden) {
    return;
  }
  findings.fitted = true;
  const auto& trend = curve.fit->per_doubling;
  if (trend.excludes_zero()) {
    const bool is_better = (trend.high < 0) == column.is_bpb();
    (is_better ? findings.better : findings.worse)
        .push_back(fmt::format("{} in {} by {:+.3g} [{:+.3g}, {:+.3g}]{}", pair.series.label,
                               column.title, trend.difference, trend.low, trend.high,
                               crossing_words(*curve.fit, curve.points.back().tokens)));
  }
}

std::string trend_words(const GainFindings& findings) {
  if (findings.fewest_seeds == std::numeric_limits<size_t>::max()) {
    return "";
  }
  if (auto one_seed = one_seed_words(findings.fewest_seeds); !one_seed.empty()) {
    return one_seed;
  }
  if (!findings.fitted) {
    return "Too few points for a trend: it takes three in the last half of them.";
  }
  if (findings.better.empty() && findings.worse.empty()) {
    return fmt::format(
        "Over {} no trend with the tokens can be told from none, and no crossing of 0 can be told.",
        plural(findings.fewest_seeds, "seed"));
  }
  auto text = fmt::format("Over {}, with 95 % intervals, a doubling of the tokens moves",
                          plural(findings.fewest_seeds, "seed"));
  if (!findings.better.empty()) {
    text += fmt::format(" for the better: {}", listed(findings.better));
  }
  if (!findings.worse.empty()) {
    text += fmt::format("{} for the worse: {}", findings.better.empty() ? "" : ";",
                        listed(findings.worse));
  }
  return text + ". Of the others no trend can be told, and no crossing where none is named.";
}

/// Adds a panel a column, a curve a pair.
void add_gains(Figure& figure, const PartResult& part, const std::vector<GainPair>& pairs) {
  GainFindings findings;
  // What is told in accuracy is told in bits per byte with less noise.
  const bool has_bpb = std::any_of(part.columns.begin(), part.columns.end(),
                                   [](const Column& column) { return column.is_bpb(); });
  for (const auto& column : part.columns) {
    const auto panel = fmt::format("{}, {}", column.title, column.direction());
    bool any = false;
    for (const auto& pair : pairs) {
      const auto curve = gain_curve(*pair.one, *pair.other, column.key);
      auto series = pair.series;
      series.panel = panel;
      for (const auto& point : curve.points) {
        const double none = std::numeric_limits<double>::quiet_NaN();
        series.add(point.tokens, point.mean, point.seeds ? point.seeds->low : none,
                   point.seeds ? point.seeds->high : none);
      }
      if (!curve.points.empty()) {
        any = true;
        if (column.is_bpb() || !has_bpb) {
          note_trend(findings, pair, column, curve);
        }
        figure.series.push_back(std::move(series));
      }
    }
    if (any) {
      figure.references.push_back({panel, 0.0, "no difference"});
    }
  }
  figure.conclusion = trend_words(findings);
}

Figure gain_by_tokens(const ShownPart& source) {
  Figure figure{
      .id = "gain-by-tokens",
      .section = "scores",
      .title = "Gain on IsoPar by tokens seen",
      .caption =
          "Score less IsoPar's after as many tokens, mean over the seeds that both have. "
          "The trend is a straight line over the logarithm of the tokens through the last "
          "half of the points, fitted to each seed; where bits per byte are measured, it is told "
          "of "
          "them.",
      .x_title = "tokens seen",
      .y_title = "difference from IsoPar",
      .panels_side_by_side = true,
      .x_log = true,
      .error_label = kSeedsInterval};
  const auto* base = source.part->find("isopar");
  std::vector<GainPair> pairs;
  for (const auto& system : source.systems) {
    if (base != nullptr && system.result != base && system.result->is_single()) {
      pairs.push_back({system.result, base, system.series});
    }
  }
  add_gains(figure, *source.part, pairs);
  return figure;
}

Figure scale_start(const ShownPart& source) {
  Figure figure{.id = "scale-start",
                .section = "loops",
                .title = "Loops that start large against loops that start small, by tokens seen",
                .caption =
                    "Score of a model whose loop scales start large less that of the same model "
                    "whose start small (the paper's at 0.0009), mean over common seeds.",
                .x_title = "tokens seen",
                .y_title = "difference",
                .panels_side_by_side = true,
                .x_log = true,
                .error_label = kSeedsInterval};
  std::vector<GainPair> pairs;
  for (const auto& start : source.systems) {
    const auto alike = start.result->group == "start" ? alike_in_shape(*source.part, *start.result)
                                                      : std::vector<const SystemResult*>();
    if (alike.empty()) {
      continue;
    }
    // The last of the paper's where there are several: gates that start open.
    const auto large = std::find_if(source.systems.begin(), source.systems.end(),
                                    [&](auto& other) { return other.result == alike.back(); });
    auto series = large->series;
    series.hidden = false;
    series.label = fmt::format("{} less {}", series.label, start.series.label);
    pairs.push_back({alike.back(), start.result, std::move(series)});
  }
  add_gains(figure, *source.part, pairs);
  return figure;
}

}  // namespace

std::vector<Figure> gain_figures(const ShownPart& source) {
  return {gain_by_tokens(source), scale_start(source)};
}

}  // namespace loopbank
