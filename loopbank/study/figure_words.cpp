#include "loopbank/study/figure_words.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "loopbank/study/answers.h"
#include "loopbank/study/figure_svg_range.h"
#include "loopbank/support/progress.h"
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

/// Of the columns that systems were compared with IsoPar in; without accuracies where bits per byte
/// are measured.
std::string verdicts_against_isopar(const PartResult& part) {
  std::vector<std::string> found;
  SeedCounts seeds;
  const bool any_bpb = has_bpb(part.columns);
  for (const auto& column : part.columns) {
    if (any_bpb && column.measure == Measure::kAccuracy) {
      continue;  // what accuracy tells, bits per byte tell with less noise
    }
    std::map<Verdict, std::vector<std::string>> by_verdict;
    for (const auto& system : part.systems) {
      const auto* compared = part.compared({system.name, "isopar", column.key});
      if (compared != nullptr && !compared->estimated && compared->seeds) {
        by_verdict[compared->verdict].push_back(system.label);
        seeds.add(static_cast<size_t>(compared->num_seeds));
      }
    }
    for (const auto verdict : {Verdict::kBetter, Verdict::kWorse}) {
      if (const auto& names = by_verdict[verdict]; !names.empty()) {
        found.push_back(fmt::format("{} in {}: {}", name_of(verdict), column.title, listed(names)));
      }
    }
  }
  if (seeds.empty()) {
    return "No two systems share two seeds: nothing can be told apart.";
  }
  if (found.empty()) {
    return fmt::format("Over {} no system is told apart from IsoPar in any score.", seeds.words());
  }
  auto text = fmt::format("Against IsoPar, beyond the noise of {}, ", seeds.words());
  for (size_t i = 0; i < found.size(); ++i) {
    text += (i == 0 ? "" : "; ") + found[i];
  }
  return text + ". The others are not told apart.";
}

std::string tally_of_claims(const PartResult& part) {
  if (part.claims.empty()) {
    return verdicts_against_isopar(part);
  }
  std::map<Verdict, int> tally;
  SeedCounts seeds;
  for (const auto& claim : part.claims) {
    const auto& comparison = part.comparison_of(claim);
    ++tally[comparison.verdict];
    seeds.add(static_cast<size_t>(comparison.num_seeds));
  }
  return fmt::format(
      "Of {} of the paper, {} came out as there, {} the other way round and {} are not told "
      "apart over {}.",
      plural(part.claims.size(), "finding"), tally[Verdict::kBetter], tally[Verdict::kWorse],
      tally[Verdict::kOpen], seeds.words());
}

/// At the end of training, against IsoPar.
std::string losses_against_isopar(const PartResult& part) {
  const auto* base = part.find("isopar");
  std::map<bool, std::vector<std::string>> sure;  // by whether it is lower
  SeedCounts seeds;
  for (const auto& system : part.systems) {
    if (base == nullptr || system.name == base->name) {
      continue;
    }
    const auto differences =
        paired_differences(system, last_losses(system), *base, last_losses(*base));
    const auto over_seeds = student_difference(differences);
    if (over_seeds) {
      seeds.add(differences.size());
    }
    if (over_seeds && over_seeds->excludes_zero()) {
      sure[over_seeds->high < 0].push_back(system.label);
    }
  }
  if (seeds.empty()) {
    return "No two systems share two seeds: nothing can be told apart.";
  }
  if (sure.empty()) {
    return fmt::format("At the end no validation loss is told apart from IsoPar's over {}.",
                       seeds.words());
  }
  auto text = fmt::format("At the end, against IsoPar over {}:", seeds.words());
  if (!sure[true].empty()) {
    text += fmt::format(" lower validation loss of {}", listed(sure[true]));
  }
  if (!sure[false].empty()) {
    text += fmt::format("{} higher of {}", sure[true].empty() ? "" : ",", listed(sure[false]));
  }
  return text + ". The others are not told apart.";
}

std::string answer_words(const Answer& answer) {
  return answer.tone == Tone::kUnmeasured
             ? std::string("Not enough was measured to conclude anything.")
             : fmt::format("{}. {}{}{}", answer.headline, answer.text,
                           answer.more.empty() ? "" : " ", answer.more);
}

std::string conclusion_of(const Figure& figure, const PartResult& part) {
  constexpr std::array kOneModel = {"halting",        "loop-scale",    "gates",
                                    "state-norm",     "state-change",  "loop-budget",
                                    "loops-by-class", "gates-by-class"};
  const auto is_one_of = [&](const auto& ids) {
    return std::find(ids.begin(), ids.end(), figure.id) != ids.end();
  };
  if (is_one_of(kOneModel)) {
    return "This is one model, the first seed's: it tells how that model works, and nothing of "
           "other seeds.";
  }
  if (auto one_seed = one_seed_words(part.seeds.size()); !one_seed.empty()) {
    return one_seed;
  }
  if (figure.id == "relative-change") {
    return tally_of_claims(part);
  }
  if (figure.id == "grid") {
    return answer_words(answer_together(part));
  }
  if (figure.section == "exits") {
    const auto answer = answer_exits(part);
    return answer.tone == Tone::kUnmeasured ? answer_words(answer) : answer.headline + ".";
  }
  if (figure.id == "tasks" || figure.id.starts_with("difficulty")) {
    return "Of a single task or difficulty nothing is concluded, since no interval stands behind "
           "it. Of their means: " +
           verdicts_against_isopar(part);
  }
  if (figure.id == "validation-loss") {
    return losses_against_isopar(part);
  }
  if (figure.id.ends_with("-over-training")) {
    SeedCounts seeds;
    for (const auto& system : part.systems) {
      if (system.loops > 0 && !system.curves.empty()) {
        seeds.add(system.curves.size());
      }
    }
    return fmt::format("What the mean of {} does; how far it is shared the bands tell.",
                       seeds.words());
  }
  return verdicts_against_isopar(part);
}

}  // namespace

std::string one_seed_words(size_t num_seeds) {
  return num_seeds > 1 ? ""
                       : "One seed: nothing can be concluded about the systems, since another seed "
                         "may move every value.";
}

void SeedCounts::add(size_t num_seeds) {
  fewest_ = fewest_ == 0 ? num_seeds : std::min(fewest_, num_seeds);
  most_ = std::max(most_, num_seeds);
}

std::string SeedCounts::words() const {
  return fewest_ == most_ ? plural(most_, "seed")
                          : fmt::format("{} to {}", fewest_, plural(most_, "seed"));
}

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  }
  return text;
}

void add_mean_over_seeds(FigureSeries& series, double at, const std::vector<double>& by_seed,
                         const std::string& note) {
  if (by_seed.empty()) {
    return;
  }
  const auto over_seeds = student_difference(by_seed);
  const double none = std::numeric_limits<double>::quiet_NaN();
  series.add(at, mean_of(by_seed), over_seeds ? over_seeds->low : none,
             over_seeds ? over_seeds->high : none);
  if (!note.empty()) {
    series.notes.push_back(note);
  }
}

void note_cut_intervals(Figure& figure) {
  if (cuts_intervals(figure)) {
    figure.caption +=
        " Intervals that reach further than the curves' own height above or below them are cut at "
        "the frame.";
  }
}

std::vector<double> last_losses(const SystemResult& system) {
  std::vector<double> losses(system.seeds.size(), std::numeric_limits<double>::quiet_NaN());
  for (const auto& curve : system.curves) {
    const auto seed = std::find(system.seeds.begin(), system.seeds.end(), curve.seed);
    if (seed != system.seeds.end() && !curve.validation_loss.empty()) {
      losses[static_cast<size_t>(seed - system.seeds.begin())] = curve.validation_loss.back();
    }
  }
  return losses;
}

std::vector<double> paired_differences(const SystemResult& one, const std::vector<double>& a,
                                       const SystemResult& other, const std::vector<double>& b) {
  std::vector<double> differences;
  for (size_t i = 0; i < std::min(one.seeds.size(), a.size()); ++i) {
    const auto found = std::find(other.seeds.begin(), other.seeds.end(), one.seeds[i]);
    const auto place = static_cast<size_t>(found - other.seeds.begin());
    if (found != other.seeds.end() && place < b.size() && std::isfinite(a[i] - b[place])) {
      differences.push_back(a[i] - b[place]);
    }
  }
  return differences;
}

void conclude(std::vector<Figure>& figures, const ShownPart& source) {
  for (auto& figure : figures) {
    if (figure.conclusion.empty()) {
      figure.conclusion = conclusion_of(figure, *source.part);
    }
    note_cut_intervals(figure);
  }
}

}  // namespace loopbank
