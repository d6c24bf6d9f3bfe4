#pragma once
/// Where queries and keys are normed by head. Free of ATen, for vector code and kernels as well.

namespace loopbank::ops {

/// With R the rotation and rms_norm(x) = x / sqrt(mean(x^2) + eps) * w, a head becomes
enum class NormPlace {
  kNone,    ///< R x                 (Llama)
  kBefore,  ///< R rms_norm(x)       (Qwen 3)
  kAfter,   ///< rms_norm(R x)       (SPEC 1, Attention)
};

}  // namespace loopbank::ops
