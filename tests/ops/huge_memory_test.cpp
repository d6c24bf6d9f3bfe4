#include "loopbank/ops/huge_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "loopbank/ops/memory_bandwidth.h"

namespace loopbank::ops {
namespace {

TEST(HugeMemory, IsZeroAlignedAndNobodyElses) {
  std::vector<std::shared_ptr<char>> blocks;
  const size_t sizes[] = {1, 63, 64, 65, 3000000, 0, 70000000, 5};
  for (const auto size : sizes) {
    blocks.push_back(take_huge_memory(size));
    auto* const block = blocks.back().get();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0);
    EXPECT_TRUE(std::all_of(block, block + size, [](char byte) { return byte == 0; }));
    std::memset(block, static_cast<int>(blocks.size()), size);
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_TRUE(std::all_of(blocks[i].get(), blocks[i].get() + sizes[i],
                            [&](char byte) { return byte == static_cast<char>(i + 1); }));
  }
}

TEST(HugeMemory, LiesSideBySide) {
  const auto first = take_huge_memory(100);
  const auto second = take_huge_memory(100);
  EXPECT_EQ(second.get() - first.get(), 128);
}

TEST(HugeMemory, StaysUntilItsLastBlockIsFreed) {
  auto first = take_huge_memory(100);
  const auto second = take_huge_memory(100);
  std::memset(second.get(), 7, 100);
  first.reset();
  EXPECT_EQ(second.get()[99], 7);
}

TEST(MemoryBandwidth, IsARateInBytes) {
  for (const int64_t threads : {1, 3}) {
    const double rate = measure_read_bandwidth(threads);
    EXPECT_GT(rate, 1e8);  // the slowest machines read some GB/s; a busy one some fewer
    EXPECT_LT(rate, 1e13);
  }
}

}  // namespace
}  // namespace loopbank::ops
