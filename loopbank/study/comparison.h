#pragma once
/// One system against another in one column: the difference, its interval, and what may be said of
/// it.

#include <optional>
#include <string>
#include <string_view>

#include "loopbank/study/results_view.h"

namespace loopbank {

struct SystemComparison {
  double here = 0.0;   ///< score of the system
  double there = 0.0;  ///< score of the other
  double difference = 0.0;
  double low = 0.0;  ///< 95 % interval of the difference over the questions
  double high = 0.0;
  bool estimated = false;  ///< low and high from standard errors, questions taken as independent
  /// The same over seeds, absent where there is one.
  struct Seeds {
    double low = 0.0;
    double high = 0.0;
  };
  std::optional<Seeds> seeds = {};
  std::optional<double> p = {};  ///< over the questions
  bool lower_is_better = false;

  /// (here - there) / there.
  [[nodiscard]] double relative() const { return there == 0 ? 0.0 : here / there - 1; }
  /// +1 where the system is better, -1 where it is worse, 0 where the interval holds 0.
  [[nodiscard]] int verdict() const;
  /// The same, and 0 too where the interval over seeds is absent or holds 0.
  [[nodiscard]] int verdict_over_seeds() const;
  /// What an answer rests on: the seeds where there are several, else the questions.
  [[nodiscard]] int decisive_verdict() const { return seeds ? verdict_over_seeds() : verdict(); }
};

/// From `against` of the system; else from the claim that compares the two; else from both scores'
/// standard errors. Nothing where a score is missing or nothing tells how sure it is.
[[nodiscard]] std::optional<SystemComparison> compare_systems(const Json& part,
                                                              std::string_view system,
                                                              std::string_view other,
                                                              const ScoreColumn& column);

/// `1.690 against 2.160, -21.8 % (95 % interval of the difference over seeds -0.500 to -0.400)`:
/// the interval that decisive_verdict rests on.
[[nodiscard]] std::string describe_comparison(const SystemComparison& comparison);

}  // namespace loopbank
