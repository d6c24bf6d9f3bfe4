#include "loopbank/study/certainty.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "loopbank/study/power.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

/// An effect in the unit of a column and as a share of the score that it is measured against.
struct Effect {
  double size = 0.0;
  double share = 0.0;
};

std::string effect_text(const Column& column, const std::vector<Effect>& effects) {
  std::vector<double> sizes;
  std::vector<double> shares;
  for (const auto& effect : effects) {
    sizes.push_back(effect.size);
    shares.push_back(effect.share);
  }
  return fmt::format("{} {:.3f} ({:.1f} %)", column.title, median(sizes), 100 * median(shares));
}

/// `facts BPB 0.080 (17.0 %), reasoning BPB 0.210 (16.1 %)`: the median over the pairs of a column of
/// what `effect_of` says of a comparison; empty where it says nothing of any.
template <typename EffectOf>
std::string by_column(const PartResult& part, const EffectOf& effect_of) {
  std::vector<std::string> texts;
  for (const auto& column : part.columns) {
    std::vector<Effect> effects;
    for (const auto& [pair, comparison] : part.comparisons) {
      const std::optional<double> size =
          pair.column == column.key ? effect_of(comparison) : std::nullopt;
      if (size) {
        effects.push_back({*size, std::abs(comparison.share(*size))});
      }
    }
    if (!effects.empty()) {
      texts.push_back(effect_text(column, effects));
    }
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

/// The most seeds that two systems were compared over; below two where none was.
int64_t most_seeds(const PartResult& part) {
  int64_t most = 0;
  for (const auto& [pair, comparison] : part.comparisons) {
    most =
        std::max(most, comparison.over_seeds || !comparison.estimated ? comparison.num_seeds : 0);
  }
  return most;
}

/// Why nothing was compared over seeds.
std::string reason_of_none(const PartResult& part) {
  int64_t most = 0;
  for (const auto& [pair, comparison] : part.comparisons) {
    most = std::max(most, comparison.num_seeds);
  }
  return part.seeds.size() == 1 ? "One seed was trained"
         : most == 0            ? "No two systems have a seed in common"
         : most == 1            ? "No two systems have more than one seed in common"
                                : "No two systems were compared seed by seed";
}

/// Of fewer than two seeds: what the noise of earlier runs says that it takes.
std::vector<std::string> what_it_takes(const PartResult& part) {
  const auto seen_by = [&](int64_t num_seeds) {
    return by_column(part, [&](const SystemComparison& comparison) -> std::optional<double> {
      const auto& deviation = comparison.earlier_deviation;
      return deviation ? std::optional(smallest_effect({.deviation = *deviation}, num_seeds))
                       : std::nullopt;
    });
  };
  const auto three = seen_by(3);
  if (three.empty()) {
    return {
        "How much seeds scatter with these settings is not known: run three, and the study says "
        "how "
        "many an effect needs."};
  }
  return {
      fmt::format("As measured by {} with these settings, three seeds would see (80 % power at 5 "
                  "%, median over "
                  "the pairs known) {}; eight {}.",
                  part.noise.source, three, seen_by(8))};
}

/// `the findings (11 tests) together, and all other pairs of a column together (facts BPB 23, ...)`.
std::string families_text(const PartResult& part) {
  int64_t findings = 0;
  for (const auto& claim : part.claims) {
    const auto& comparison = part.comparison_of(claim);
    findings = comparison.seeds ? comparison.family_size : findings;
  }
  std::map<std::string, int64_t> sizes;
  for (const auto& [pair, comparison] : part.comparisons) {
    const bool of_findings =
        std::any_of(part.claims.begin(), part.claims.end(), [&compared = pair](const Claim& claim) {
          return claim.column == compared.column &&
                 ((claim.better == compared.system && claim.worse == compared.other) ||
                  (claim.better == compared.other && claim.worse == compared.system));
        });
    if (comparison.seeds && !of_findings) {
      sizes[pair.column] = comparison.family_size;
    }
  }
  std::vector<std::string> others;
  for (const auto& column : part.columns) {
    if (const auto found = sizes.find(column.key); found != sizes.end()) {
      others.push_back(fmt::format("{} {}", column.title, found->second));
    }
  }
  return fmt::format(
      "{}all other pairs of a column together (tests: {})",
      findings > 0 ? fmt::format("the findings together ({}), ", plural(findings, "test")) : "",
      fmt::join(others, ", "));
}

}  // namespace

std::vector<std::string> describe_certainty(const PartResult& part) {
  if (part.comparisons.empty()) {
    return {};
  }
  const auto most = most_seeds(part);
  if (most < 2) {
    std::vector<std::string> sentences = {
        fmt::format("{}: nothing is called a finding, since another seed may move every score. "
                    "Intervals are over the questions of these models alone.",
                    reason_of_none(part))};
    const auto more = what_it_takes(part);
    sentences.insert(sentences.end(), more.begin(), more.end());
    return sentences;
  }
  return {fmt::format(
              "Up to {} in common. A difference is told apart where p is {} at most, of a t test "
              "that holds the noise of seeds and of questions, after Holm's adjustment within its "
              "family: {}.",
              plural(most, "seed"), kLevel, families_text(part)),
          "Intervals are plain 95 % intervals of the difference: one may leave out 0 where the "
          "verdict, "
          "which knows of the other tests, is open.",
          fmt::format("Smallest effect that could have been seen (80 % power at 5 % before the "
                      "adjustment, median over the pairs of a column): {}.",
                      by_column(part, [](const SystemComparison& comparison) {
                        return comparison.smallest_effect;
                      }))};
}

}  // namespace loopbank
