#pragma once
/// How fast this machine reads its memory: the bound of decoding, which reads every weight for each
/// token. Measured, as the peak of products is (gemm/gemm_peak.h). Free of ATen.

#include <cstdint>

namespace loopbank::ops {

/// Bytes a second that threads read together, each a run of its own, far more than caches hold.
/// The best of several passes. Takes about a second.
///
/// @param threads  at least 1
[[nodiscard]] double measure_read_bandwidth(int64_t threads);

}  // namespace loopbank::ops
