#pragma once
/// How much memory an op takes from the pool, for tests.

#include <cstddef>
#include <functional>

#include "loopbank/ops/cpu/memory_pool.h"

namespace loopbank::testing {

/// Bytes that `run` takes from the pool at its peak, beside what is in use before.
inline size_t peak_bytes_of(const std::function<void()>& run) {
  ops::release_free_memory();
  const auto before = ops::memory_pool_use().live_bytes;
  run();
  // What was freed meanwhile is kept.
  const auto after = ops::memory_pool_use();
  return after.live_bytes + after.free_bytes - before;
}

}  // namespace loopbank::testing
