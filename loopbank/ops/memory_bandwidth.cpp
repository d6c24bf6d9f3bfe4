#include "loopbank/ops/memory_bandwidth.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "loopbank/support/stopwatch.h"

namespace loopbank::ops {
namespace {

constexpr size_t kReadValues = size_t{1} << 25;  // 256 MB, of all threads together
constexpr int kReadPasses = 8;
constexpr size_t kSumsAtOnce = 8;  // side by side, so that no addition waits for another

uint64_t sum_of_run(const uint64_t* values, size_t count) {
  std::array<uint64_t, kSumsAtOnce> sums{};
  for (size_t i = 0; i + kSumsAtOnce <= count; i += kSumsAtOnce) {
    for (size_t j = 0; j < kSumsAtOnce; ++j) {
      sums[j] += values[i + j];
    }
  }
  uint64_t total = 0;
  for (const auto sum : sums) {
    total += sum;
  }
  return total;
}

}  // namespace

double measure_read_bandwidth(int64_t threads) {
  const std::vector<uint64_t> values(kReadValues, 1);
  const auto part = kReadValues / static_cast<size_t>(threads);
  std::atomic<uint64_t> total = 0;  // read, so that no sum is left out
  double best = 0.0;
  for (int pass = 0; pass < kReadPasses; ++pass) {
    const Stopwatch watch;
    std::vector<std::thread> workers;
    for (size_t i = 0; i < static_cast<size_t>(threads); ++i) {
      workers.emplace_back([&, i] { total += sum_of_run(values.data() + i * part, part); });
    }
    for (auto& worker : workers) {
      worker.join();
    }
    best = std::max(best, static_cast<double>(part * static_cast<size_t>(threads) * sizeof(uint64_t)) /
                              watch.seconds());
  }
  return total > 0 ? best : 0.0;
}

}  // namespace loopbank::ops
