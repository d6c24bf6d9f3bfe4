#pragma once
/// Memory of CPU tensors, kept from step to step.
///
/// Why: every training step asks for the same large blocks. The C library hands each of them back
/// to the system when it is freed and receives it page by page, zeroed, when it is asked for again:
/// a quarter of a step's time at a vocabulary of 50304 (docs/performance.md). Here blocks lie side
/// by side in one range of addresses, free neighbours are one, and a new block goes where it fits
/// most closely, so that a step needs hardly more memory than it has in use at the same time. Not a
/// pool for small blocks: those below kSmallestPooledBytes go to the C library as before.
///
/// Rejected: MALLOC_TRIM_THRESHOLD_ and friends keep blocks too, but their peak was 9.1 GB for 7.6.
/// Free blocks by size class, eight between two powers of two: a block serves only its own class,
/// and dense-d768 took 1.73 GB where this takes 1.58.

#include <cstddef>

namespace loopbank::ops {

/// Blocks smaller than this are left to the C library.
constexpr size_t kSmallestPooledBytes = size_t{1} << 18U;

/// Before the pool takes more from the system it gives the memory of its free blocks back, where
/// they hold more than this share of what was once in use at the same time, and lets the C library
/// give back what it has free.
constexpr double kLargestFreeShare = 0.25;

/// From now on CPU tensors take their memory from the pool; a second call changes nothing. In a
/// build for CUDA it does nothing and returns false: that one computes on a GPU, whose memory
/// LibTorch keeps by itself.
bool install_memory_pool();

/// Bytes in use, and between them: memory that is kept or was given back.
struct MemoryPoolUse {
  size_t live_bytes = 0;
  size_t free_bytes = 0;
};
[[nodiscard]] MemoryPoolUse memory_pool_use();

/// Gives the memory of the free blocks back to the system.
void release_free_memory();

}  // namespace loopbank::ops
