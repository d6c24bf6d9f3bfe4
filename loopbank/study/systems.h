#pragma once
/// The ten systems of the paper's table at three sizes: two shared sizes and the solver give all
/// of them (SPEC 2).
///
///     IsoPar    Loop-3  Loop-5  Loop-7    the base, dense and looped
///     IsoFLOP                             match Loop-3 by FLOPs
///     Mem g0 = -3, 0, 3                   3 loops with memory
///     IsoPar-M, IsoFLOP-M                 match Mem by parameters, by FLOPs

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/study/match.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

enum class Scale { kDemo, kSmall, kPaper };

[[nodiscard]] std::string_view name_of(Scale scale);

/// The scores that the paper reports for a system.
struct PaperScores {
  double commonsense_accuracy = 0.0;
  double commonsense_bpb = 0.0;
  double math_bpb = 0.0;
};

struct System {
  std::string name;   ///< of its preset: isopar, loop3, ...
  std::string label;  ///< as the paper writes it
  RunConfig run;
  PaperScores paper;
  /// How near the solver came, for the baselines that it derived.
  std::optional<MatchedBaseline> baseline;
};

/// All ten, in the order of the paper's table. Every run has the same data, steps and schedule.
/// @param overrides  `section.key=value` texts on what all share, before the solver matches
[[nodiscard]] std::vector<System> study_systems(Scale scale,
                                                const std::vector<std::string>& overrides = {});

/// Those with the given names, in the table's order; all for an empty list.
/// @throws Error kConfig for an unknown name, with the nearest
[[nodiscard]] std::vector<System> choose_systems(std::vector<System> systems,
                                                 const std::vector<std::string>& names);

}  // namespace loopbank
