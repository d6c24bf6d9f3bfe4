#pragma once
/// A study's results.json made up by formulas: ten systems, a grid of loops and slots, a ponder
/// sweep, curves and a look inside. Nothing in it was measured.

#include <nlohmann/json.hpp>

#include "loopbank/study/results_json.h"

namespace loopbank::testing {

/// Two parts, three seeds, everything there.
[[nodiscard]] nlohmann::ordered_json full_results();

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
