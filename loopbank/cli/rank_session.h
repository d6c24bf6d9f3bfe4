#pragma once
/// This process as one of several ranks, from the meeting to the end.

#include <ATen/core/Tensor.h>

#include <functional>

#include "loopbank/ranks/ranks.h"

namespace loopbank::cli {

/// Runs `work` with the ranks that the launcher's variables name (ranks/place.h), alone without any.
///
/// Where it fails, the others learn this rank's error, and the process ends here with that error as
/// its line and exit status: unwinding would wait for ranks that are gone. Where another rank is
/// gone, the line names it and the exit status is that of ErrorCode::kRanks, also from within an
/// exchange that hangs. torchrun shows the line in its summary.
/// @param device           whose tensors the ranks exchange
/// @param timeout_seconds  after which a silent rank is given up
/// @throws Error kConfig for variables that contradict each other; what `work` throws where the
///   process is alone
void with_ranks(at::Device device, double timeout_seconds,
                const std::function<void(const Ranks& ranks)>& work);

}  // namespace loopbank::cli
