/// The pool of CPU memory. It is installed for this whole test program by its first test.

#include "loopbank/ops/memory_pool.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <thread>
#include <vector>

namespace loopbank::ops {
namespace {

at::Tensor bytes(size_t count) {
  return at::empty({static_cast<int64_t>(count)}, at::kByte);
}

class MemoryPool : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!install_memory_pool()) {
      GTEST_SKIP() << "this LibTorch keeps its own memory";
    }
    release_free_memory();
  }
};

TEST_F(MemoryPool, ABlockOfTheSameSizeComesBack) {
  const auto live = memory_pool_use().live_bytes;
  const void* first = nullptr;
  {
    const auto tensor = bytes(3 * kSmallestPooledBytes);
    first = tensor.data_ptr();
    EXPECT_GE(memory_pool_use().live_bytes, live + 3 * kSmallestPooledBytes);
  }
  EXPECT_EQ(memory_pool_use().live_bytes, live);
  EXPECT_GE(memory_pool_use().free_bytes, 3 * kSmallestPooledBytes);
  // A little larger: the same size class.
  EXPECT_EQ(bytes(3 * kSmallestPooledBytes + 1000).data_ptr(), first);
}

TEST_F(MemoryPool, BlocksInUseDoNotOverlap) {
  std::vector<at::Tensor> tensors;
  for (int round = 0; round < 3; ++round) {  // the second and third round meet freed blocks
    tensors.clear();
    for (uint8_t i = 0; i < 20; ++i) {
      tensors.push_back(bytes(kSmallestPooledBytes + 70'001U * i).fill_(i));
    }
    for (uint8_t i = 0; i < 20; ++i) {
      EXPECT_TRUE(tensors[i].eq(i).all().item<bool>()) << int{i};
      EXPECT_EQ(reinterpret_cast<uintptr_t>(tensors[i].data_ptr()) % 64, 0U);
    }
  }
}

TEST_F(MemoryPool, SmallBlocksAreLeftToTheCLibrary) {
  const auto before = memory_pool_use();
  const auto tensor = bytes(kSmallestPooledBytes / 2);
  EXPECT_EQ(memory_pool_use().live_bytes, before.live_bytes);
}

TEST_F(MemoryPool, FreeBlocksGoBackBeforeThePoolOutgrowsItsUse) {
  // One block at a time, each of another size: without a bound all of them would be kept.
  constexpr size_t kLargest = 64 * kSmallestPooledBytes;
  for (size_t i = 1; i <= 64; ++i) {
    (void)bytes(i * kSmallestPooledBytes);
  }
  const auto use = memory_pool_use();
  EXPECT_LE(static_cast<double>(use.free_bytes + use.live_bytes),
            kLargestPoolShare * 1.125 * static_cast<double>(kLargest + use.live_bytes));
}

TEST_F(MemoryPool, ThreadsMayFreeWhatOthersTook) {
  const auto live = memory_pool_use().live_bytes;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([thread] {
      for (int i = 0; i < 50; ++i) {
        auto tensor = bytes(kSmallestPooledBytes + 4096U * static_cast<size_t>(i)).fill_(thread);
        std::thread([held = std::move(tensor), thread] {
          EXPECT_TRUE(held.eq(thread).all().item<bool>());
        }).join();
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(memory_pool_use().live_bytes, live);
}

}  // namespace
}  // namespace loopbank::ops
