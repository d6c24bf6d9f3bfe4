#pragma once
/// Does thinking go where it is needed? Loops that a model takes at each token of an answer, against the
/// consecutive steps behind that token (after ANIRA, arXiv 2602.08864).

#include <cstdint>
#include <string>
#include <vector>

namespace loopbank {

/// Spearman's rank correlation with its 95 % interval.
struct RankCorrelation {
  double rho = 0.0;
  double low = 0.0;
  double high = 0.0;
};

/// Answer tokens with equally many steps behind them.
struct LoopsAtSteps {
  int64_t steps = 1;
  int64_t tokens = 0;
  double loops = 1.0;                       ///< mean over layers and tokens
  std::vector<double> loops_by_layer = {};  ///< [L]
};

struct LoopsAgainstSteps {
  std::string task;
  int64_t tokens = 0;                          ///< of answers, all together
  std::vector<LoopsAtSteps> by_steps = {};     ///< rising in steps
  RankCorrelation correlation = {};            ///< of the mean over layers
  std::vector<RankCorrelation> by_layer = {};  ///< [L]; a layer that never loops has 0, 0, 0
};

}  // namespace loopbank
