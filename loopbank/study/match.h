#pragma once
/// The solver of the matched baselines: given an adaptive model, the dense one that holds as many
/// parameters or spends as many FLOPs (SPEC 2).
///
/// What memory stores goes into width, what loops compute goes into depth:
///     by parameters  F grows in steps, L stays   Mem -> IsoPar-M    (Loop -> IsoPar, F as it is)
///     by FLOPs       that width, then L grows    Mem -> IsoFLOP-M    Loop -> IsoFLOP
/// The depth of a memory model's baseline repays its loops alone: the target is the FLOPs of the
/// widened model looped as often as the adaptive one. What its reads cost is already spent on
/// width; matching them a second time by depth would give the baseline more parameters for the
/// same FLOPs. The residuals against the adaptive model itself are reported, not hidden.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

#include "loopbank/model/config.h"

namespace loopbank {

enum class MatchBy { kParameters, kFlops };

struct MatchOptions {
  MatchBy by = MatchBy::kParameters;
  int64_t sequence_length = 4096;  ///< T at which FLOPs a token are counted
  /// F is the adaptive model's F plus a multiple of this. Hardware wants a power of two; the
  /// paper's F of 3840 is the nearest at 256 (at 64 it is 3776).
  int64_t step = 256;
};

/// A figure of the adaptive model and that of its baseline.
struct MatchedFigure {
  double target = 0.0;
  double matched = 0.0;
  /// (matched - target) / target
  [[nodiscard]] double residual() const { return (matched - target) / target; }
};

struct MatchedBaseline {
  ModelConfig model;            ///< dense
  MatchedFigure parameters;     ///< adaptive against baseline
  MatchedFigure forward_flops;  ///< a token
};

/// The same sizes without loops and without memory.
[[nodiscard]] ModelConfig dense_twin(const ModelConfig& adaptive);

/// The dense baseline nearest to the adaptive model.
/// @throws Error kConfig for a dense model, a step or a sequence length below 1, or a baseline
///         beyond the largest F or L
[[nodiscard]] MatchedBaseline match_baseline(const ModelConfig& adaptive,
                                             const MatchOptions& options);

/// {"parameters": {target, matched, residual}, "forward_flops": {...}}
[[nodiscard]] nlohmann::ordered_json residuals_to_json(const MatchedBaseline& baseline);

}  // namespace loopbank
