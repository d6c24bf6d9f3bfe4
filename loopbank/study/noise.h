#pragma once
/// How much the difference of two systems scatters from seed to seed, where a study has too few seeds
/// to tell: measured by an earlier study of the same settings and shipped with the program, for the
/// scales that come built in (configs/study/noise.toml).
///
///     [scale.small]
///     part = "benchmark"
///     seeds = 3
///     steps = 1200
///     date = "2026-11-25"
///     settings = ["model.hidden_size=96", ...]            what it holds for, but for the defaults
///     deviations = ["loop3 isopar facts_bpb 0.0403", ...]  system, other, column, deviation
///
/// `loopbank study noise DIR` writes such a table out of a study of three seeds or more. What a study
/// of that many seeds measured itself is in its comparisons (SeedDifference::deviation) and goes first.

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "loopbank/study/verdict.h"

namespace loopbank {

struct PartResult;
struct StudyConfig;
struct StudyResult;

/// Standard deviations over seeds of the differences of earlier runs.
struct SeedNoise {
  std::string source = {};  ///< `3 seeds of scale small, 2026-11-25`; empty: nothing is known
  int64_t seeds = 0;
  int64_t steps = 0;  ///< of training: it holds for systems that took as many
  /// [system][other][column]
  std::map<std::string, std::map<std::string, std::map<std::string, double>>> deviations = {};

  /// Of the pair, either way round.
  [[nodiscard]] std::optional<double> deviation(const ComparedPair& pair) const;
};

/// What is shipped for a study of these settings; empty where they differ from those measured. All count
/// but data, seeds, titles, and how a run is watched and kept; of [system.NAME] those of systems that
/// both have.
/// @throws Error kConfig for a broken table
[[nodiscard]] SeedNoise shipped_noise(const StudyConfig& config);
/// The same from a text in place of configs/study/noise.toml.
[[nodiscard]] SeedNoise noise_of_text(std::string_view toml, const StudyConfig& config);

/// The table of a part's own comparisons, [scale.NAME] or of several parts [scale.NAME-PART], of pairs with three common seeds or more that took equal
/// steps; those of the part's first column's order.
/// @throws Error kData where no pair has as many, or results.json names no settings
[[nodiscard]] std::string noise_toml(const StudyResult& result, const PartResult& part);

}  // namespace loopbank
