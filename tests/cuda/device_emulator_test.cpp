#include "device_emulator.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "loopbank/ops/cuda/device.cuh"

namespace loopbank::testing {
namespace {

using ops::cuda::Bf16;
using ops::cuda::block_index;
using ops::cuda::Global;
using ops::cuda::global_thread_index;
using ops::cuda::Grid;
using ops::cuda::num_threads;
using ops::cuda::run_on_device;
using ops::cuda::SharedArray;
using ops::cuda::shuffle_xor;
using ops::cuda::sync_threads;
using ops::cuda::thread_index;
using ops::cuda::warp_sum;

/// What the device says of a launch; empty where nothing is wrong.
std::string fault_of(const Grid& grid, const std::function<void()>& thread) {
  try {
    run_on_device(grid, thread);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

void expect_fault(const std::string& part, const Grid& grid, const std::function<void()>& thread) {
  EXPECT_NE(fault_of(grid, thread).find(part), std::string::npos)
      << "got \"" << fault_of(grid, thread) << "\"";
}

template <class T>
Global<T> global_of(std::vector<T>& values) {
  return {values.data(), static_cast<int64_t>(values.size())};
}

/// 16-byte aligned, as a device's memory is.
struct alignas(16) Aligned {
  float values[16] = {};
};

TEST(DeviceEmulator, RunsEveryThreadOfEveryBlock) {
  std::vector<float> places(3 * 64);
  const auto to = global_of(places);
  EXPECT_EQ(fault_of({3, 64},
                     [&] { to.store(global_thread_index(), {static_cast<float>(num_threads())}); }),
            "");
  EXPECT_EQ(places, std::vector<float>(3 * 64, 192.0F));
}

TEST(DeviceEmulator, ShufflesWithinAWarp) {
  std::vector<float> sums(64);
  const auto to = global_of(sums);
  run_on_device({1, 64},
                [&] { to.store(thread_index(), {warp_sum(static_cast<float>(thread_index()))}); });
  EXPECT_FLOAT_EQ(sums.front(), 31 * 32 / 2);
  EXPECT_FLOAT_EQ(sums.back(), 31 * 32 / 2 + 32 * 32);
}

TEST(DeviceEmulator, PassesValuesThroughSharedMemoryBehindABarrier) {
  for (const auto order : {ThreadOrder::kForward, ThreadOrder::kBackward, ThreadOrder::kShuffled}) {
    const EmulatorScope scope({.order = order});
    std::vector<float> reversed(64);
    const auto to = global_of(reversed);
    run_on_device({1, 64}, [&] {
      LOOPBANK_SHARED(float, all, 64);
      all[thread_index()] = static_cast<float>(thread_index());
      sync_threads();
      to.store(thread_index(), {all[63 - thread_index()]});
    });
    EXPECT_FLOAT_EQ(reversed.front(), 63.0F);
    EXPECT_FLOAT_EQ(reversed.back(), 0.0F);
  }
}

TEST(DeviceEmulator, SeesAccessesOutsideABuffer) {
  std::vector<float> places(32);
  const auto all = global_of(places);
  expect_fault("thread 31 of block 0 writes bytes 128 to 132 of a buffer of 128.", {1, 32},
               [&] { all.store(thread_index() + 1, {1.0F}); });
  expect_fault("reads bytes -4 to 0 of a buffer of 128.", {1, 32},
               [&] { static_cast<void>(all.value(thread_index() - 1)); });
  expect_fault("of a buffer of 0", {1, 32},
               [&] { static_cast<void>(Global<float>().value(thread_index())); });
}

TEST(DeviceEmulator, SeesVectorsThatAreNotAligned) {
  Aligned aligned;
  const Global<float> all{aligned.values, 16};
  float vector[8];
  EXPECT_EQ(fault_of({1, 32}, [&] { all.load(8, vector); }), "");
  expect_fault("takes 16 bytes at once", {1, 32}, [&] { all.load(2, vector); });
  expect_fault("bytes 64 to 80", {1, 32}, [&] { all.load(12, vector); });
}

TEST(DeviceEmulator, SeesBarriersAndShufflesThatSomeThreadsDoNotReach) {
  expect_fault("waits at a barrier", {1, 64}, [] {
    if (thread_index() != 5) {
      sync_threads();
    }
  });
  expect_fault("waits at a shuffle", {1, 32}, [] {
    if (thread_index() < 16) {
      shuffle_xor(1.0F, 1);
    }
  });
  expect_fault("a shuffle by 2 meets one by 1", {1, 32},
               [] { shuffle_xor(1.0F, thread_index() < 16 ? 1 : 2); });
}

TEST(DeviceEmulator, SeesTwoThreadsAtOnePlace) {
  std::vector<float> places(1);
  const auto one = global_of(places);
  expect_fault("thread 1 of block 0 writes byte 0 of a buffer, which thread 0 of block 0", {1, 32},
               [&] { one.store(0, {1.0F}); });
  expect_fault("thread 0 of block 1 reads byte 0", {2, 32}, [&] {
    if (block_index() == 1) {
      static_cast<void>(one.value(0));
    } else if (thread_index() == 0) {
      one.store(0, {1.0F});
    }
  });
}

TEST(DeviceEmulator, SeesBuffersThatAreWrittenInPart) {
  std::vector<float> places(33);
  const auto all = global_of(places);
  expect_fault("128 of 132 bytes", {1, 32}, [&] { all.store(thread_index(), {1.0F}); });
}

TEST(DeviceEmulator, ShowsReadsOfSharedMemoryThatNobodyWrote) {
  std::vector<float> places(64);
  const auto to = global_of(places);
  run_on_device({2, 32}, [&] {
    LOOPBANK_SHARED(float, all, 32);
    if (block_index() == 0) {
      all[thread_index()] = 1.0F;
    }
    sync_threads();
    to.store(global_thread_index(), {all[thread_index()]});
  });
  EXPECT_FLOAT_EQ(places[0], 1.0F);
  EXPECT_TRUE(std::isnan(places[32])) << "the block before has left it";
  expect_fault("value 32 of 32 in shared memory", {1, 64}, [] {
    LOOPBANK_SHARED(float, few, 32);
    few[thread_index()] = 1.0F;
  });
}

TEST(DeviceEmulator, ShowsARaceInTheBits) {
  const auto last_writer = [](ThreadOrder order) {
    const EmulatorScope scope({.order = order});
    std::vector<float> places(64);
    const auto to = global_of(places);
    run_on_device({1, 64}, [&] {
      LOOPBANK_SHARED(float, last, 1);
      last[0] = static_cast<float>(thread_index());  // every thread, and no barrier before the next
      sync_threads();
      to.store(thread_index(), {last[0]});
    });
    return places;
  };
  EXPECT_NE(last_writer(ThreadOrder::kForward), last_writer(ThreadOrder::kBackward));
}

TEST(DeviceEmulator, RefusesPartsOfWarps) {
  expect_fault("expected whole warps", {1, 48}, [] {});
  expect_fault("expected whole warps", {0, 32}, [] {});
}

TEST(DeviceEmulator, GoesOnAfterAFault) {
  fault_of({1, 64}, [] {
    if (thread_index() == 0) {
      sync_threads();
    }
  });
  EXPECT_EQ(fault_of({1, 64}, [] { sync_threads(); }), "");
}

TEST(Bf16, RoundsToTheNearestAndTiesToEven) {
  Aligned aligned;
  const Global<Bf16> low{reinterpret_cast<Bf16*>(aligned.values), 16};
  run_on_device({1, 32}, [&] {
    if (thread_index() < 2) {
      low.store(8 * thread_index(),
                {1.0F, 1.00390625F, 1.01171875F, -3.1415927F, 1e-40F, 3.4e38F, 0.0F, 2.0F});
    }
  });
  float back[8];
  low.load(8, back);
  EXPECT_EQ(std::vector<float>(back, back + 4),
            (std::vector<float>{1.0F, 1.0F, 1.015625F, -3.140625F}));
  EXPECT_TRUE(std::isinf(back[5]));
}

}  // namespace
}  // namespace loopbank::testing
