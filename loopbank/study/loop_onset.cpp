#include "loopbank/study/loop_onset.h"

#include <algorithm>

namespace loopbank {
namespace {

constexpr size_t kFewestValidations = 3;

}  // namespace

std::optional<LoopOnset> loop_onset(const TrainingCurve& curve) {
  const size_t count =
      std::min({curve.step.size(), curve.mean_loops.size(), curve.validation_loss.size()});
  if (count < kFewestValidations) {
    return std::nullopt;
  }
  const auto begin = curve.mean_loops.begin();
  const auto end = begin + static_cast<std::ptrdiff_t>(count);
  const auto fewest = std::min_element(begin, end);
  const double range = *std::max_element(fewest, end) - *fewest;
  if (range < kLeastLoopGrowth) {
    return std::nullopt;
  }
  const auto grown = std::find_if(
      fewest, end, [&](double loops) { return loops > *fewest + kOnsetShare * range; });
  const auto i = static_cast<size_t>(grown - begin);
  return LoopOnset{.seed = curve.seed,
                   .step = curve.step[i],
                   .validation_loss = curve.validation_loss[i],
                   .mean_loops = *grown};
}

std::vector<LoopOnset> loop_onsets(const SystemResult& system) {
  std::vector<LoopOnset> onsets;
  for (const auto& curve : system.curves) {
    if (const auto onset = loop_onset(curve)) {
      onsets.push_back(*onset);
    }
  }
  return onsets;
}

}  // namespace loopbank
