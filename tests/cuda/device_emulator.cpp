#include "device_emulator.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/context/fiber.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <cstring>
#include <exception>
#include <numeric>
#include <random>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include "loopbank/ops/cuda/device.cuh"
#include "loopbank/ops/cuda/tensors.h"

namespace loopbank::testing {
namespace {

using boost::context::fiber;
using ops::cuda::kLanes;

constexpr size_t kStackBytes = size_t{64} << 10U;
constexpr int kNoThread = -1;

/// Where threads meet. One that has arrived waits until `generation` is another.
struct Meeting {
  int arrived = 0;
  int64_t generation = 0;
};

struct WarpMeeting {
  Meeting meeting;
  int mask = 0;  // of the shuffle that is under way
  /// What the lanes bring. Two, in turn: a lane may come to the next shuffle before another has read.
  std::array<std::array<float, kLanes>, 2> values = {};
};

struct EmulatedThread {
  fiber context;
  const Meeting* waits_for = nullptr;
  int64_t generation = 0;  // that it waits to end
  bool is_done = false;
};

/// Who wrote each byte of a buffer: a thread of the launch plus 1, 0 for nobody.
struct WrittenBuffer {
  std::vector<int64_t> writers;
};

struct SharedMemory {
  void* begin;
  size_t bytes;
};

/// The launch that is under way, of which this program has one at a time.
class Device {
 public:
  void run(const ops::cuda::Grid& grid, const std::function<void()>& thread) {
    ++launches;
    blocks_ = grid.blocks;
    threads_ = std::min(grid.threads, settings.most_threads);
    expect_legal(grid);
    written_.clear();
    random_.seed(1);
    for (block_ = 0; block_ < blocks_; ++block_) {
      run_block(thread);
    }
    expect_whole_buffers();
    written_.clear();
  }

  void sync() {
    barrier_.arrived += 1;
    wait(barrier_, threads_);
  }

  float shuffle(float value, int mask) {
    auto& warp = warps_[static_cast<size_t>(current_ / kLanes)];
    if (warp.meeting.arrived == 0) {
      warp.mask = mask;
    } else if (warp.mask != mask) {
      fault(fmt::format("a shuffle by {} meets one by {} in its warp", mask, warp.mask));
    }
    auto& values = warp.values[static_cast<size_t>(warp.meeting.generation % 2)];
    values[static_cast<size_t>(current_ % kLanes)] = value;
    warp.meeting.arrived += 1;
    wait(warp.meeting, kLanes);
    return values[static_cast<size_t>((current_ % kLanes) ^ mask)];
  }

  void check(bool writes, const void* begin, int64_t size, const void* address, int64_t bytes) {
    const auto first = static_cast<const char*>(address) - static_cast<const char*>(begin);
    if (begin == nullptr || first < 0 || first + bytes > size) {
      fault(fmt::format("{} bytes {} to {} of a buffer of {}", writes ? "writes" : "reads", first,
                        first + bytes, begin == nullptr ? 0 : size));
    }
    if (reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(bytes) != 0) {
      fault(fmt::format("takes {} bytes at once from a place that is no multiple of that", bytes));
    }
    note_access(writes, begin, size, first, bytes);
  }

  void add_shared(const SharedMemory& memory) {
    shared_.push_back(memory);
    std::memset(memory.begin, 0xff, memory.bytes);
  }

  [[noreturn]] void fault(const std::string& what) const {
    throw std::runtime_error(
        fmt::format("emulated device: thread {} of block {} {}.", current_, block_, what));
  }

  [[nodiscard]] int current() const { return current_; }
  [[nodiscard]] int threads() const { return threads_; }
  [[nodiscard]] int64_t block() const { return block_; }
  [[nodiscard]] int64_t blocks() const { return blocks_; }

  EmulatorSettings settings;
  int64_t launches = 0;

 private:
  void expect_legal(const ops::cuda::Grid& grid) const {
    const bool is_legal = grid.blocks > 0 && grid.blocks <= INT32_MAX && grid.threads > 0 &&
                          grid.threads <= 1024 && threads_ % kLanes == 0;
    if (!is_legal) {
      throw std::runtime_error(fmt::format(
          "emulated device: expected whole warps, got a launch of {} blocks of {} threads.",
          grid.blocks, threads_));
    }
  }

  void run_block(const std::function<void()>& thread) {
    for (const auto& memory : shared_) {
      std::memset(memory.begin, 0xff, memory.bytes);
    }
    barrier_ = {};
    warps_.assign(static_cast<size_t>(threads_ / kLanes), {});
    fault_ = nullptr;
    emulated_.clear();
    emulated_.resize(static_cast<size_t>(threads_));
    for (auto& one : emulated_) {
      one.context = fiber(std::allocator_arg, stacks_, [&](fiber&& scheduler) {
        scheduler_ = std::move(scheduler);
        run_thread(one, thread);
        return std::move(scheduler_);
      });
    }
    while (take_turns()) {
    }
    if (fault_ != nullptr) {
      emulated_.clear();
      std::rethrow_exception(fault_);
    }
    for (const auto& one : emulated_) {
      if (!one.is_done) {
        const bool at_barrier = one.waits_for == &barrier_;
        current_ = static_cast<int>(&one - emulated_.data());
        emulated_.clear();
        fault(fmt::format("waits at a {} that others never reach",
                          at_barrier ? "barrier" : "shuffle"));
      }
    }
  }

  void run_thread(EmulatedThread& one, const std::function<void()>& thread) {
    try {
      thread();
    } catch (const boost::context::detail::forced_unwind&) {
      throw;  // the block is given up
    } catch (...) {
      fault_ = std::current_exception();
    }
    one.is_done = true;
  }

  /// Each thread that can goes on to where it waits next.
  /// @return whether any could
  bool take_turns() {
    std::vector<int> turns(static_cast<size_t>(threads_));
    std::iota(turns.begin(), turns.end(), 0);
    if (settings.order == ThreadOrder::kBackward) {
      std::reverse(turns.begin(), turns.end());
    } else if (settings.order == ThreadOrder::kShuffled) {
      std::shuffle(turns.begin(), turns.end(), random_);
    }
    bool has_moved = false;
    for (const int turn : turns) {
      auto& one = emulated_[static_cast<size_t>(turn)];
      const bool waits = one.waits_for != nullptr && one.waits_for->generation == one.generation;
      if (one.is_done || waits) {
        continue;
      }
      one.waits_for = nullptr;
      current_ = turn;
      one.context = std::move(one.context).resume();
      has_moved = true;
      if (fault_ != nullptr) {
        return false;
      }
    }
    return has_moved;
  }

  /// Until `all` have arrived.
  void wait(Meeting& meeting, int all) {
    if (meeting.arrived == all) {
      meeting.arrived = 0;
      meeting.generation += 1;
      return;
    }
    const int own = current_;
    auto& one = emulated_[static_cast<size_t>(own)];
    one.waits_for = &meeting;
    one.generation = meeting.generation;
    scheduler_ = std::move(scheduler_).resume();
    current_ = own;
  }

  void note_access(bool writes, const void* begin, int64_t size, int64_t first, int64_t bytes) {
    const auto own = block_ * threads_ + current_ + 1;
    auto found = written_.find(begin);
    if (found == written_.end()) {
      if (!writes) {
        return;
      }
      found = written_.emplace(begin, WrittenBuffer{}).first;
      found->second.writers.resize(static_cast<size_t>(size), 0);
    }
    for (int64_t at = first; at < first + bytes; ++at) {
      auto& writer = found->second.writers[static_cast<size_t>(at)];
      if (writer != 0 && writer != own) {
        fault(fmt::format("{} byte {} of a buffer, which thread {} of block {} has written",
                          writes ? "writes" : "reads", at, (writer - 1) % threads_,
                          (writer - 1) / threads_));
      }
      writer = writes ? own : writer;
    }
  }

  void expect_whole_buffers() const {
    for (const auto& [begin, buffer] : written_) {
      const auto& writers = buffer.writers;
      if (const auto left = std::count(writers.begin(), writers.end(), 0); left > 0) {
        throw std::runtime_error(fmt::format(
            "emulated device: {} of {} bytes of a buffer are written, the others are not.",
            static_cast<int64_t>(writers.size()) - left, writers.size()));
      }
    }
  }

  int64_t blocks_ = 0;
  int64_t block_ = 0;
  int threads_ = 0;
  int current_ = kNoThread;
  Meeting barrier_;
  std::vector<WarpMeeting> warps_;
  std::vector<EmulatedThread> emulated_;
  fiber scheduler_;
  std::exception_ptr fault_;
  std::unordered_map<const void*, WrittenBuffer> written_;
  std::vector<SharedMemory> shared_;
  std::mt19937 random_;
  boost::context::pooled_fixedsize_stack stacks_{kStackBytes};
};

Device& device() {
  static Device instance;
  return instance;
}

}  // namespace

EmulatorScope::EmulatorScope(const EmulatorSettings& settings) : before_(device().settings) {
  device().settings = settings;
}

EmulatorScope::~EmulatorScope() {
  device().settings = before_;
}

int64_t emulated_launches() {
  return device().launches;
}

}  // namespace loopbank::testing

namespace loopbank::ops::cuda {

using testing::device;

int thread_index() {
  return device().current();
}
int threads_per_block() {
  return device().threads();
}
int64_t block_index() {
  return device().block();
}
int64_t num_blocks() {
  return device().blocks();
}
void sync_threads() {
  device().sync();
}
float shuffle_xor(float value, int mask) {
  return device().shuffle(value, mask);
}
void run_on_device(const Grid& grid, const std::function<void()>& thread) {
  device().run(grid, thread);
}
void check_read(const void* begin, int64_t size, const void* address, int64_t bytes) {
  device().check(/*writes=*/false, begin, size, address, bytes);
}
void check_write(const void* begin, int64_t size, const void* address, int64_t bytes) {
  device().check(/*writes=*/true, begin, size, address, bytes);
}
void add_shared_memory(void* begin, int64_t bytes) {
  device().add_shared({begin, static_cast<size_t>(bytes)});
}
void check_shared_index(int64_t index, int64_t count) {
  if (index < 0 || index >= count) {
    device().fault(fmt::format("takes value {} of {} in shared memory", index, count));
  }
}

Stream stream_of(const at::Tensor& /*x*/) {
  return nullptr;
}

}  // namespace loopbank::ops::cuda
