#pragma once
/// Where the time of a step goes: the time of every ATen operator itself, without the operators
/// that it calls, in both the forward and the backward pass.
///
/// Watching costs time in every operator, so it measures shares, not speeds.

#include <cstdint>
#include <string>
#include <vector>

namespace loopbank {

struct OpTime {
  std::string name;  ///< as LibTorch names it: aten::mm, MmBackward0
  int64_t calls = 0;
  double seconds = 0.0;  ///< by itself
};

/// Watches every operator from construction to `finish`. One at a time in a process.
class OpTimes {
 public:
  OpTimes();
  ~OpTimes();
  OpTimes(const OpTimes&) = delete;
  OpTimes& operator=(const OpTimes&) = delete;

  /// Stops watching. Returns the operators met, slowest first.
  [[nodiscard]] std::vector<OpTime> finish();

 private:
  void stop();
  uint64_t handle_ = 0;
  bool watching_ = true;
};

}  // namespace loopbank
