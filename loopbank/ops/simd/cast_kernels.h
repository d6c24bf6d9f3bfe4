#pragma once
/// The vector loop of ops/cast.h.

#include <cstddef>

#include "loopbank/ops/simd/elementwise_values.h"

namespace loopbank::ops {

/// Values `first` to `last` of `from`, in the type of `to`.
void cast_values(ConstValues from, Values to, size_t first, size_t last);

}  // namespace loopbank::ops
