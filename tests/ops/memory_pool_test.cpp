/// The pool of CPU memory. It is installed for this whole test program by its first test.

#include "loopbank/ops/cpu/memory_pool.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

at::Tensor bytes(size_t count) {
  return at::empty({static_cast<int64_t>(count)}, at::kByte);
}

constexpr size_t kPage = 4096;

/// Pages of a block that have memory behind them.
size_t resident_pages(const void* block, size_t count) {
  std::vector<unsigned char> pages((count + kPage - 1) / kPage);
  EXPECT_EQ(::mincore(const_cast<void*>(block), count, pages.data()), 0);
  size_t resident = 0;
  for (const auto page : pages) {
    resident += page & 1U;
  }
  return resident;
}

size_t taken_from_system() {
  const auto use = memory_pool_use();
  return use.live_bytes + use.free_bytes;
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
    EXPECT_EQ(memory_pool_use().live_bytes, live + 3 * kSmallestPooledBytes);
  }
  EXPECT_EQ(memory_pool_use().live_bytes, live);
  EXPECT_GE(memory_pool_use().free_bytes, 3 * kSmallestPooledBytes);
  EXPECT_EQ(bytes(3 * kSmallestPooledBytes).data_ptr(), first);
}

TEST_F(MemoryPool, FreeNeighboursAreOneBlock) {
  std::vector<at::Tensor> tensors;
  for (int i = 0; i < 5; ++i) {
    tensors.push_back(bytes(kSmallestPooledBytes));
  }
  const auto taken = taken_from_system();
  // Before, after, and between what is free.
  for (const auto& order : {std::vector{1, 2, 3}, {3, 2, 1}, {1, 3, 2}}) {
    const void* const start = tensors[1].data_ptr();
    for (const auto i : order) {
      tensors[static_cast<size_t>(i)] = at::Tensor();
    }
    EXPECT_EQ(bytes(3 * kSmallestPooledBytes).data_ptr(), start);
    for (size_t i = 1; i <= 3; ++i) {
      tensors[i] = bytes(kSmallestPooledBytes);
    }
    EXPECT_EQ(taken_from_system(), taken);
  }
}

TEST_F(MemoryPool, ABlockGoesWhereTheSmallestRestIsLeft) {
  auto large = bytes(4 * kSmallestPooledBytes);
  const auto wall = bytes(kSmallestPooledBytes);
  auto small = bytes(2 * kSmallestPooledBytes);
  const auto end = bytes(kSmallestPooledBytes);
  const void* const place = small.data_ptr();
  large = small = at::Tensor();
  EXPECT_EQ(bytes(2 * kSmallestPooledBytes - kPage).data_ptr(), place);
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

TEST_F(MemoryPool, OneBlockAtATimeTakesThePlaceOfTheLast) {
  constexpr size_t kLargest = 64 * kSmallestPooledBytes;
  const auto taken = taken_from_system();
  for (size_t i = 1; i <= 64; ++i) {
    (void)bytes(i * kSmallestPooledBytes);
  }
  EXPECT_LE(taken_from_system(), taken + kLargest);
}

TEST_F(MemoryPool, MemoryOfFreeBlocksGoesBackBeforeThePoolGrows) {
  // Half of these are more than a quarter of what any other test has in use at a time.
  constexpr size_t kBlock = 32 * kSmallestPooledBytes;
  std::vector<at::Tensor> kept, freed;
  for (uint8_t i = 0; i < 8; ++i) {
    freed.push_back(bytes(kBlock).fill_(i));
    kept.push_back(bytes(kBlock).fill_(i));
  }
  const auto* const hole = freed.front().data_ptr();
  freed.clear();
  EXPECT_EQ(resident_pages(hole, kBlock), kBlock / kPage);  // for the next step
  (void)bytes(kBlock);
  EXPECT_EQ(resident_pages(hole, kBlock), kBlock / kPage);  // there was room
  (void)bytes(2 * kBlock);                                  // there was none
  EXPECT_EQ(resident_pages(hole, kBlock), 0U);
  for (uint8_t i = 0; i < 8; ++i) {
    EXPECT_TRUE(kept[i].eq(i).all().item<bool>()) << int{i};
  }
  EXPECT_EQ(bytes(kBlock).fill_(1).sum().item<int64_t>(), static_cast<int64_t>(kBlock));
}

TEST_F(MemoryPool, ReleasedMemoryIsNoLongerTaken) {
  const auto taken = taken_from_system();
  bytes(64 * kSmallestPooledBytes).fill_(1);
  EXPECT_GE(taken_from_system(), taken + 60 * kSmallestPooledBytes);
  release_free_memory();
  EXPECT_EQ(taken_from_system(), taken);
}

TEST_F(MemoryPool, MoreThanTheMachineHasIsRefused) {
  try {
    (void)bytes(size_t{1} << 50U);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    EXPECT_NE(std::string(error.what()).find("expected room for"), std::string::npos);
  }
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
