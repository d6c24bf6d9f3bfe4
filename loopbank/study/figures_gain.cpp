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
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

/// Two systems and how their gain is shown.
struct GainPair {
  const SystemResult* one;
  const SystemResult* other;
  FigureSeries series;  ///< without a point
};

/// The trend of a pair in a column: one test of several.
struct GainTrend {
  std::string name;  ///< of both
  bool lower_is_better = false;
  GainFit fit = {};
  double last_tokens = 0.0;
};

/// What the gains of a figure tell, gathered while it is made.
struct GainFindings {
  std::vector<GainTrend> trends = {};
  SeedCounts seeds = {};                      ///< of pairs with two or more
  std::vector<std::string> of_one_seed = {};  ///< pairs
  bool any = false;
};

std::string crossing_words(const GainFit& fit, double last_tokens) {
  if (!fit.crossing) {
    return "";
  }
  const auto& crossing = *fit.crossing;
  return fmt::format(", which {} 0 at {} tokens [{}, {}]",
                     crossing.tokens > last_tokens ? "would cross" : "crosses",
                     format_count(crossing.tokens),
                     crossing.low > 0 ? format_count(crossing.low) : "or earlier",
                     std::isfinite(crossing.high) ? format_count(crossing.high) : "or later");
}

void note_trend(GainFindings& findings, const GainPair& pair, const Column& column,
                const GainCurve& curve) {
  findings.any = true;
  if (curve.seeds.size() < 2) {
    const auto& label = pair.series.label;
    auto& others = findings.of_one_seed;
    if (std::find(others.begin(), others.end(), label) == others.end()) {
      others.push_back(label);
    }
    return;
  }
  findings.seeds.add(curve.seeds.size());
  if (curve.fit) {
    findings.trends.push_back({.name = fmt::format("{} in {}", pair.series.label, column.title),
                               .lower_is_better = column.is_bpb(),
                               .fit = *curve.fit,
                               .last_tokens = curve.points.back().tokens});
  }
}

/// Trends whose p, adjusted for the others, is 0.05 at most.
/// @param better  for the better, else for the worse
std::vector<std::string> sure_trends(const GainFindings& findings, bool better) {
  std::vector<double> p;
  for (const auto& trend : findings.trends) {
    p.push_back(trend.fit.per_doubling.p);
  }
  const auto adjusted = holm_adjusted(p);
  std::vector<std::string> sure;
  for (size_t i = 0; i < findings.trends.size(); ++i) {
    const auto& [name, lower_is_better, fit, last_tokens] = findings.trends[i];
    const auto& move = fit.per_doubling;
    if (adjusted[i] <= 0.05 && ((move.difference < 0) == lower_is_better) == better) {
      sure.push_back(fmt::format("{} by {:+.3g} [{:+.3g}, {:+.3g}]{}", name, move.difference,
                                 move.low, move.high, crossing_words(fit, last_tokens)));
    }
  }
  return sure;
}

std::string trend_words(const GainFindings& findings) {
  if (!findings.any) {
    return "";
  }
  if (findings.seeds.empty()) {
    return one_seed_words(1);
  }
  const auto of_one_seed = findings.of_one_seed.empty()
                               ? std::string()
                               : fmt::format(" Of one common seed, and so without a trend: {}.",
                                             listed(findings.of_one_seed));
  if (findings.trends.empty()) {
    return "Too few points for a trend: it takes three in the last half of them." + of_one_seed;
  }
  const auto better = sure_trends(findings, true);
  const auto worse = sure_trends(findings, false);
  const auto tests = plural(findings.trends.size(), "trend");
  if (better.empty() && worse.empty()) {
    return fmt::format(
        "Over {} no trend with the tokens can be told from none (p adjusted by Holm for {}), and "
        "no crossing of 0 can be told.{}",
        findings.seeds.words(), tests, of_one_seed);
  }
  auto text = fmt::format(
      "Over {}, with plain 95 % intervals and p adjusted by Holm for {}, a doubling of the tokens "
      "moves",
      findings.seeds.words(), tests);
  if (!better.empty()) {
    text += fmt::format(" for the better: {}", listed(better));
  }
  if (!worse.empty()) {
    text += fmt::format("{} for the worse: {}", better.empty() ? "" : ";", listed(worse));
  }
  return text +
         ". Of the others that are drawn at first no trend can be told, and no crossing where none "
         "is named." +
         of_one_seed;
}

/// Adds a panel a column, a curve a pair.
void add_gains(Figure& figure, const PartResult& part, const std::vector<GainPair>& pairs) {
  GainFindings findings;
  // Of pairs that wait until they are asked for nothing is concluded, unless all do.
  const bool all_hidden = std::all_of(pairs.begin(), pairs.end(),
                                      [](const GainPair& pair) { return pair.series.hidden; });
  // What is told in accuracy is told in bits per byte with less noise.
  const bool any_bpb = has_bpb(part.columns);
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
        if ((column.is_bpb() || !any_bpb) && (all_hidden || !pair.series.hidden)) {
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
          "of them. The trends of a figure are several tests: their p are adjusted by Holm.",
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
