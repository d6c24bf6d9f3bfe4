#pragma once
/// Memory on pages of 2 MB for what is read over and over, such as weights of inference. Free of
/// ATen.
///
/// Why: with pages of 4 KB the CPU looks up addresses at a third to a half of the reads' own cost
/// (Zen 4 reads 25 GB/s from memory in place of 35, 65 from L3 in place of 84), and a matrix of a
/// few MB hardly fills pages of its own. So blocks that are asked for one after the other lie side
/// by side, whole or in part on the same pages. Not for what comes and goes: memory goes back to
/// the system when the last block of its neighbourhood is freed; ops/cpu/memory_pool.h is for the
/// rest.

#include <cstddef>
#include <memory>

namespace loopbank::ops {

/// `bytes` zeros from a multiple of 64 on, from any thread. Where the system grants no pages of
/// 2 MB, they are usual ones.
/// @throws Error kDevice where there is no memory left
[[nodiscard]] std::shared_ptr<char> take_huge_memory(size_t bytes);

}  // namespace loopbank::ops
