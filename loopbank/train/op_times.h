#pragma once
/// Where the time of a step goes: the time of every ATen operator by itself, that of the operators
/// it calls left out, of the forward and the backward pass alike.
///
/// Watching costs time in every operator, so what it measures are shares, not speeds.

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

  /// Stops watching. The operators met, the one with the most time first.
  [[nodiscard]] std::vector<OpTime> finish();

 private:
  void stop();
  uint64_t handle_ = 0;
  bool watching_ = true;
};

}  // namespace loopbank
