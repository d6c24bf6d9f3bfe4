#pragma once
/// A study's results.json made up by formulas: ten systems, a grid of loops and slots, a ponder
/// sweep, curves, a look inside and exits. Nothing in it was measured.

#include <nlohmann/json.hpp>
#include <string>

#include "loopbank/study/results_json.h"

namespace loopbank::testing {

/// The exits of a system, whatever its name, over so many seeds (exits_sample.cpp): at rising FLOPs
/// saved, rules lose more bits per byte, change a little more than cdf; `budget 2` loses none.
[[nodiscard]] nlohmann::ordered_json sample_exits(int num_seeds);

/// Two parts, three seeds, without what evidence_sample.cpp adds.
[[nodiscard]] nlohmann::ordered_json results_without_curves_of_scores();

/// Two parts, three seeds, everything there: scores at ten points of the training, whose differences
/// from IsoPar move by slope_of_sample a doubling and cross 0 at kSampleCrossing tokens; loops against
/// steps; the initial values and FLOPs of each seed (evidence_sample.cpp).
[[nodiscard]] nlohmann::ordered_json full_results();

/// What full_results does to a system's difference from IsoPar in every column at each doubling.
[[nodiscard]] double slope_of_sample(const std::string& system);
inline constexpr double kSampleCrossing = 1e6;

/// Its first part, the embedded benchmark.
[[nodiscard]] inline nlohmann::ordered_json benchmark_part() {
  return full_results()["parts"][0];
}

/// A part of such results as the program holds it.
[[nodiscard]] inline PartResult typed(const nlohmann::ordered_json& part) {
  return study_result_from_json({{"parts", nlohmann::ordered_json::array({part})}}).parts.at(0);
}

/// Two dense systems, one seed, unfinished, no look inside, no curves and no claims.
[[nodiscard]] nlohmann::ordered_json poor_results();

}  // namespace loopbank::testing
