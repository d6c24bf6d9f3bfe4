#pragma once
/// What one system gains on another as both see more tokens, and where the gain would cross 0.
///
///     d_s(t) = score of the one - score of the other      of seed s after t tokens
///     d_s(t) = a_s + b_s log2(t)                          least squares, last half of the points
///     crossing: t where the interval of a_s + b_s log2(t) over the seeds holds 0    (Fieller's)
///
/// Each seed is fitted by itself, so that seeds and not points count as independent: the points of
/// one run hang together. The crossing's interval is bounded where the trend is sure, and only then
/// is a crossing told. Not here: how it looks and reads (figures_gain.cpp).

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/study/results.h"

namespace loopbank {

/// At as many tokens as every common seed of both systems was scored.
struct GainPoint {
  double tokens = 0.0;
  double mean = 0.0;                     ///< of d over the seeds
  std::optional<Difference> seeds = {};  ///< Student's t, from two seeds on
};

/// In tokens, between the first point of the line and six doublings behind the last.
struct GainCrossing {
  double tokens = 0.0;
  double low = 0.0;   ///< 0: before the first point of the line
  double high = 0.0;  ///< infinite: behind those doublings, or never
};

struct GainFit {
  size_t points = 0;
  Difference per_doubling = {};               ///< of d, over the seeds
  std::optional<GainCrossing> crossing = {};  ///< nothing where none can be told
};

struct GainCurve {
  std::vector<int64_t> seeds = {};     ///< common, in the order of the one system's
  std::vector<GainPoint> points = {};  ///< rising in tokens
  std::optional<GainFit> fit = {};     ///< from two seeds and three points in the last half on
};

/// Without points where the two have no seed, or no count of tokens, in common.
/// @param column  key of the scores
[[nodiscard]] GainCurve gain_curve(const SystemResult& one, const SystemResult& other,
                                   const std::string& column);

}  // namespace loopbank
