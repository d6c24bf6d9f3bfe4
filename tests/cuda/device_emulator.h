#pragma once
/// A stand-in for a CUDA device, for kernels written with loopbank/ops/cuda/device.cuh: it runs each
/// block of a launch with one fiber a thread, so that barriers, shuffles within a warp and shared
/// memory work as on a card, and throws std::runtime_error where a card would go wrong or might:
///
/// - a read or write outside a buffer, or of a vector that is not on a multiple of its size;
/// - a barrier or a shuffle that some threads of the block or warp do not reach;
/// - two threads of a launch writing one place, or one reading what another wrote;
/// - a buffer of which a part is written and a part is not.
///
/// Shared memory is NaN when a block begins, so that a read before a write shows in the result, and
/// the order in which threads run is a setting, so that a race shows in the bits.
///
/// Not emulated: time, the caches, the rounding of fused multiply-add, threads of different blocks
/// at the same time (blocks run one by one; the third rule stands in for that).

#include <cstdint>

namespace loopbank::testing {

/// In which order the threads of a block take their turns.
enum class ThreadOrder { kForward, kBackward, kShuffled };

struct EmulatorSettings {
  ThreadOrder order = ThreadOrder::kForward;
  /// Blocks of more threads are launched with so many.
  int most_threads = 1024;
};

/// These settings until the end of the scope.
class EmulatorScope {
 public:
  explicit EmulatorScope(const EmulatorSettings& settings);
  ~EmulatorScope();
  EmulatorScope(const EmulatorScope&) = delete;
  EmulatorScope& operator=(const EmulatorScope&) = delete;

 private:
  EmulatorSettings before_;
};

/// Launches since the start of the program.
[[nodiscard]] int64_t emulated_launches();

}  // namespace loopbank::testing
