#include "loopbank/ops/memory_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "loopbank/ops/huge_memory.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank::ops {
namespace {

constexpr size_t kReadBytes = size_t{256} << 20U;  // of all threads together
/// Read at a time, one part after the other, so that none is still in a cache when its turn comes
/// again; short enough that a busy machine leaves some of them alone.
constexpr size_t kPartBytes = size_t{32} << 20U;
constexpr int kPasses = 8;

/// One load, as wide as every CPU has.
using Lanes = uint64_t __attribute__((vector_size(16)));
constexpr size_t kSums = 8;  // side by side, so that no addition waits for another

uint64_t sum_of(const char* from, size_t bytes) {
  Lanes sums[kSums] = {};
  for (size_t i = 0; i + sizeof(sums) <= bytes; i += sizeof(sums)) {
#pragma GCC unroll 8
    for (size_t j = 0; j < kSums; ++j) {
      Lanes values;
      std::memcpy(&values, from + i + j * sizeof(Lanes), sizeof(values));
      sums[j] += values;
    }
  }
  uint64_t total = 0;
  for (const auto& sum : sums) {
    total += sum[0] + sum[1];
  }
  return total;
}

}  // namespace

double measure_read_bandwidth(int64_t threads) {
  const auto memory = take_huge_memory(kReadBytes);
  std::memset(memory.get(), 1, kReadBytes);  // until then there is none behind the addresses
  const auto count = static_cast<size_t>(threads);
  const auto share = kPartBytes / count / (kSums * sizeof(Lanes)) * (kSums * sizeof(Lanes));
  std::atomic<uint64_t> total = 0;  // read, so that no sum is left out
  double best = 0.0;
  for (size_t part = 0; part < kPasses * kReadBytes / kPartBytes; ++part) {
    const auto* const from = memory.get() + part % (kReadBytes / kPartBytes) * kPartBytes;
    std::atomic<size_t> ready = 0;
    std::atomic<bool> started = false;
    std::vector<std::thread> workers;
    for (size_t i = 0; i < count; ++i) {
      workers.emplace_back([&, i] {
        ++ready;
        while (!started) {
          std::this_thread::yield();
        }
        total += sum_of(from + i * share, share);
      });
    }
    while (ready < count) {
      std::this_thread::yield();
    }
    const Stopwatch watch;
    started = true;
    for (auto& worker : workers) {
      worker.join();
    }
    best = std::max(best, static_cast<double>(share * count) / watch.seconds());
  }
  return total > 0 ? best : 0.0;
}

}  // namespace loopbank::ops
