#include "loopbank/ops/memory_bandwidth.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "loopbank/support/stopwatch.h"

namespace loopbank::ops {
namespace {

constexpr size_t kValues = size_t{1} << 25;  // 256 MB, of all threads together
constexpr int kPasses = 8;
constexpr size_t kSums = 8;  // side by side, so that no addition waits for another

uint64_t sum_of(const uint64_t* values, size_t count) {
  std::array<uint64_t, kSums> sums{};
  for (size_t i = 0; i + kSums <= count; i += kSums) {
    for (size_t j = 0; j < kSums; ++j) {
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
  const std::vector<uint64_t> values(kValues, 1);
  const auto part = kValues / static_cast<size_t>(threads);
  std::atomic<uint64_t> total = 0;  // read, so that no sum is left out
  double best = 0.0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const Stopwatch watch;
    std::vector<std::thread> workers;
    for (size_t i = 0; i < static_cast<size_t>(threads); ++i) {
      workers.emplace_back([&, i] { total += sum_of(values.data() + i * part, part); });
    }
    for (auto& worker : workers) {
      worker.join();
    }
    best =
        std::max(best, static_cast<double>(part * static_cast<size_t>(threads) * sizeof(uint64_t)) /
                           watch.seconds());
  }
  return total > 0 ? best : 0.0;
}

}  // namespace loopbank::ops
