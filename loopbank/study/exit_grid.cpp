#include "loopbank/study/exit_grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace loopbank {
namespace {

constexpr std::array kShares = {0.25, 0.5, 0.75};  // of the loops behind the first
constexpr double kShareTolerance = 0.08;           // of a share that counts as reached
constexpr int kHalvings = 9;

/// A kind of rule, and where its thresholds lie: halved by ratio, for they are of any size. Those
/// of a probability are told by what is missing to 1, since a gate may be all but sure.
struct RuleKind {
  std::string_view name;
  double low;
  double high;
  bool from_one;  ///< the threshold is 1 - the value
  bool has_hard;  ///< whether its hard variant is worth a row
};

// A larger value means fewer loops.
constexpr std::array kKinds = {
    RuleKind{"cdf", 1e-6, 1.0, true, true},         RuleKind{"router", 1e-6, 1.0, true, true},
    RuleKind{"change", 1e-3, 100.0, false, true},   RuleKind{"accel", 1e-3, 100.0, false, true},
    RuleKind{"entropy", 1e-3, 100.0, false, false}, RuleKind{"kl", 1e-7, 100.0, false, false}};

std::string rule_of(const RuleKind& kind, double value) {
  const double rounded = std::stod(fmt::format("{:.3g}", value));
  return fmt::format("{}:{:.9g}", kind.name, kind.from_one ? 1.0 - rounded : rounded);
}

}  // namespace

std::string rule_that_runs(std::string_view kind, double loops, const ThresholdSearch& search,
                           const LoopsOfRule& mean_loops, std::map<double, double>& tried) {
  const auto& of_kind = *std::find_if(kKinds.begin(), kKinds.end(),
                                      [&](const auto& one) { return one.name == kind; });
  double low = of_kind.low;
  double high = of_kind.high;
  for (const auto& [value, run] : tried) {
    if (run < loops) {
      high = std::min(high, value);
    } else {
      low = value;
    }
  }
  std::string nearest;
  double distance = search.reached;
  for (int trial = 0; trial < search.trials && distance > search.near; ++trial) {
    const double middle = std::sqrt(low * high);
    const auto rule = rule_of(of_kind, middle);
    const double run = tried[middle] = mean_loops(rule);
    if (std::abs(run - loops) < distance) {
      nearest = rule;
      distance = std::abs(run - loops);
    }
    (run < loops ? high : low) = middle;
  }
  return nearest;
}

std::vector<std::string> exit_grid(double num_loops, int64_t most_loops,
                                   const LoopsOfRule& mean_loops) {
  std::vector<std::string> rules = {"all", "all,hard"};
  for (int64_t budget = 1; budget < most_loops; ++budget) {
    rules.push_back(fmt::format("budget:{}", budget));
    if (budget > 1) {
      rules.push_back(rules.back() + ",hard");
    }
  }
  for (const auto& kind : kKinds) {
    for (const double share : kShares) {
      std::map<double, double> tried;
      const auto nearest = rule_that_runs(
          kind.name, 1 + share * (num_loops - 1),
          {.trials = kHalvings, .reached = kShareTolerance * (num_loops - 1)}, mean_loops, tried);
      if (!nearest.empty() && std::find(rules.begin(), rules.end(), nearest) == rules.end()) {
        rules.push_back(nearest);
        if (kind.has_hard) {
          rules.push_back(nearest + ",hard");
        }
      }
    }
  }
  for (int64_t agreeing = 2; agreeing < most_loops; ++agreeing) {
    rules.push_back(fmt::format("argmax:{}", agreeing));
  }
  return rules;
}

}  // namespace loopbank
