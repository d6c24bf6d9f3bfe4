#pragma once
/// The systems of a study: the paper's ten, made from one shared run by the solver (SPEC 2), and
/// those that a study file adds.
///
///     IsoPar    Loop-3  Loop-5  Loop-7    the base, dense and looped
///     IsoFLOP                             match Loop-3 by FLOPs
///     Mem g0 = -3, 0, 3                   3 loops with memory
///     IsoPar-M, IsoFLOP-M                 match Mem by parameters, by FLOPs
///
/// In a study whose systems start from an existing model these are made from that one: IsoPar is the
/// control, the model trained on as it is, and there is none that the solver derives.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/study/match.h"
#include "loopbank/study/study_config.h"

namespace loopbank {

/// The scores that the paper reports for a system: commonsense_accuracy, commonsense_bpb, math_bpb.
using PaperScores = std::map<std::string, double>;

/// What a derived baseline matches, and how near the solver came.
struct Match {
  std::string system;  ///< whose baseline it is
  std::string by;      ///< parameters | flops | time
  MatchedBaseline baseline;
};

struct System {
  std::string name;   ///< of its preset: isopar, loop3, ...
  std::string label;  ///< as the paper writes it
  std::string group;  ///< paper | grid | ponder | router | start | own
  /// Of the first seed. A baseline in equal time has the steps of what it matches until a study has
  /// measured both (study/iso_time.h).
  RunConfig run;
  PaperScores paper;  ///< empty outside the ten
  std::optional<Match> match;
  std::vector<int64_t> seeds;

  [[nodiscard]] bool is_iso_time() const { return match && match->by == "time"; }
};

/// Every system of the study: of the paper's ten those that it names, in the paper's order, then
/// its own in the order of the file. Every run has the same data, steps and schedule.
/// @throws Error kConfig for an unknown system, with the nearest, and for a setting that does not
///         hold together
[[nodiscard]] std::vector<System> study_systems(const StudyConfig& config);

/// The preset of a scale, all ten and its own.
[[nodiscard]] std::vector<System> study_systems(Scale scale,
                                                const std::vector<std::string>& overrides = {});

/// Those with the given names, in the table's order; all for an empty list.
/// @throws Error kConfig for an unknown name, with the nearest
[[nodiscard]] std::vector<System> choose_systems(std::vector<System> systems,
                                                 const std::vector<std::string>& names);

}  // namespace loopbank
