#pragma once
/// Memory of CPU tensors, kept from step to step.
///
/// Why: every training step asks for the same large blocks. The C library hands each of them back
/// to the system when it is freed and receives it page by page, zeroed, when it is asked for again:
/// a quarter of a step's time at a vocabulary of 50304 (docs/performance.md). Not a pool for small
/// blocks: those below kSmallestPooledBytes go to the C library as before.
///
/// Rejected: MALLOC_TRIM_THRESHOLD_ and friends keep blocks too, but split and merge them, and the
/// peak grew from 7.6 to 9.1 GB.

#include <cstddef>

namespace loopbank::ops {

/// Blocks below this many bytes are left to the C library.
constexpr size_t kSmallestPooledBytes = size_t{1} << 18U;

/// The blocks kept free and those in use hold at most this many times what was once in use at the
/// same time; past that the free ones go back to the system.
constexpr double kLargestPoolShare = 1.25;

/// From now on tensors on the CPU take their memory from the pool; a second call changes nothing.
/// With LibTorch 2 it does nothing and returns false: that one computes on a GPU, whose memory
/// LibTorch keeps by itself.
bool install_memory_pool();

/// Bytes in use and kept free by the pool.
struct MemoryPoolUse {
  size_t live_bytes = 0;
  size_t free_bytes = 0;
};
[[nodiscard]] MemoryPoolUse memory_pool_use();

/// Gives the free blocks back to the system.
void release_free_memory();

}  // namespace loopbank::ops
