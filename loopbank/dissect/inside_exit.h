#pragma once
/// What a model is worth where its tokens leave layers early.

#include "loopbank/dissect/inside.h"

namespace loopbank {

/// Reads the rows through the engine.
///
/// @param rows       tokens and targets [B, T] int64
/// @param num_bytes  that the targets stand for
/// @throws Error kConfig for a rule or budget that the model cannot follow
[[nodiscard]] InsideOfExit measure_exit(const LanguageModel& model, const Batch& rows,
                                        int64_t num_bytes, const InsideOptions& options);

}  // namespace loopbank
