#include "loopbank/ops/cpu/memory_pool.h"

#include <c10/core/CPUAllocator.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

#include "loopbank/ops/libtorch.h"
#include "loopbank/support/error.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {
namespace {

constexpr size_t kTensorAlignment = 64;         // of tensors, in bytes
constexpr size_t kPage = size_t{1} << 12U;      // blocks are whole pages
constexpr size_t kHugePage = size_t{1} << 21U;  // memory is asked for by these
constexpr size_t kAddressesPerByte = 4;         // set aside for each byte of the machine
constexpr size_t kFewestAddresses = size_t{1} << 30U;

/// How many addresses to set aside: of those that the process may have (ulimit -v) half.
size_t wanted_addresses() {
  const auto machine = static_cast<size_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES))) *
                       static_cast<size_t>(std::max(0L, ::sysconf(_SC_PAGESIZE)));
  const auto wanted = std::max(kFewestAddresses, kAddressesPerByte * machine);
  rlimit limit{};
  const bool is_limited = ::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  return is_limited ? std::min(wanted, limit.rlim_cur / 2 / kHugePage * kHugePage) : wanted;
}

/// So many addresses without memory behind them; null where there are none left.
char* addresses(size_t count) {
  void* const range =
      ::mmap(nullptr, count, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) {
    return nullptr;
  }
  ::madvise(range, count, MADV_HUGEPAGE);  // a wish: not granted where the system has none
  return static_cast<char*>(range);
}

/// Blocks side by side in one range of addresses, each put where the smallest rest is left over.
/// Free neighbours are one block: whatever the sizes, a step finds room in what the step before
/// gave back.
class Pool {
 public:
  Pool() {
    size_t count = wanted_addresses();
    while ((begin_ = addresses(count)) == nullptr && count > kFewestAddresses) {
      count /= 2;
    }
    end_ = usable_ = begin_;
    last_ = begin_ == nullptr ? nullptr : begin_ + count;  // null: every block will be refused
  }

  [[nodiscard]] bool owns(const void* data) const { return begin_ <= data && data < last_; }

  void* take(size_t bytes) {
    const size_t size = round_up(bytes, kPage);
    const std::lock_guard lock(mutex_);
    auto found = by_size_.lower_bound({size, nullptr});
    if (found == by_size_.end()) {
      grow(size);
      found = by_size_.lower_bound({size, nullptr});
    }
    const auto [room, block] = *found;
    erase_free(block, room);
    if (room > size) {
      insert_free(block + size, room - size);
    }
    in_use_.emplace(block, size);
    live_ += size;
    most_live_ = std::max(most_live_, live_);
    return block;
  }

  void give(void* data) {
    const std::lock_guard lock(mutex_);
    const auto found = in_use_.find(static_cast<char*>(data));
    const auto [block, size] = *found;
    in_use_.erase(found);
    live_ -= size;
    insert_free_beside_neighbours(block, size);
  }

  void release() {
    const std::lock_guard lock(mutex_);
    give_pages_back();
  }

  MemoryPoolUse use() {
    const std::lock_guard lock(mutex_);
    return {.live_bytes = live_, .free_bytes = free_bytes()};
  }

 private:
  [[nodiscard]] size_t free_bytes() const { return static_cast<size_t>(end_ - begin_) - live_; }

  void insert_free(char* block, size_t size) {
    free_.emplace(block, size);
    by_size_.emplace(size, block);
  }

  void erase_free(char* block, size_t size) {
    free_.erase(block);
    by_size_.erase({size, block});
  }

  void insert_free_beside_neighbours(char* block, size_t size) {
    const auto after = free_.lower_bound(block);
    if (after != free_.begin()) {
      const auto [before, room] = *std::prev(after);
      if (before + room == block) {
        erase_free(before, room);
        block = before;
        size += room;
      }
    }
    if (const auto next = free_.find(block + size); next != free_.end()) {
      const size_t room = next->second;
      erase_free(block + size, room);
      size += room;
    }
    insert_free(block, size);
  }

  /// Room for a block of so many bytes at the end of the range.
  void grow(size_t size) {
    if (static_cast<double>(free_bytes()) > kLargestFreeShare * static_cast<double>(most_live_)) {
      give_pages_back();
    }
    size_t missing = size;
    if (!free_.empty()) {
      const auto [last, room] = *free_.rbegin();
      missing -= last + room == end_ ? room : 0;
    }
    if (missing > static_cast<size_t>(last_ - end_) || !make_usable(end_ + missing)) {
      fail(ErrorCode::kDevice,
           "memory: expected room for {} bytes more beside the {} in use, the system has none. Use "
           "a smaller micro_batch or sequence_length.",
           size, live_);
    }
    auto* const block = end_;
    end_ += missing;
    insert_free_beside_neighbours(block, missing);
  }

  /// Memory behind the addresses up to this one.
  bool make_usable(char* end) {
    if (end <= usable_) {
      return true;
    }
    ::malloc_trim(0);  // what the C library keeps for nobody goes back first
    const auto wanted = round_up(static_cast<size_t>(end - usable_), kHugePage);
    const auto size = std::min(wanted, static_cast<size_t>(last_ - usable_));
    if (::mprotect(usable_, size, PROT_READ | PROT_WRITE) != 0) {
      return false;
    }
    usable_ += size;
    return true;
  }

  /// Free blocks keep their addresses, which are empty until somebody writes to them again; the
  /// last one, with nothing in use after it, is no block any more.
  void give_pages_back() {
    for (const auto& [block, size] : free_) {
      ::madvise(block, size, MADV_DONTNEED);
    }
    if (!free_.empty()) {
      const auto [last, room] = *free_.rbegin();
      if (last + room == end_) {
        erase_free(last, room);
        end_ = last;
      }
    }
  }

  std::mutex mutex_;
  char* begin_ = nullptr;   // of the range, fixed like its last address
  char* end_ = nullptr;     // of what blocks have come to
  char* usable_ = nullptr;  // addresses before this one may be written to
  char* last_ = nullptr;
  std::map<char*, size_t> free_;                // by address; no two touch
  std::set<std::pair<size_t, char*>> by_size_;  // the same
  std::unordered_map<char*, size_t> in_use_;
  size_t live_ = 0;
  size_t most_live_ = 0;
};

/// Never destroyed: tensors may outlive every other static object.
Pool& pool() {
  static auto* instance = new Pool;
  return *instance;
}

#ifndef LOOPBANK_HAS_CUDA

void free_block(void* data) {
  if (pool().owns(data)) {
    pool().give(data);
  } else {
    std::free(data);
  }
}

void* small_block(size_t bytes) {
  void* block = nullptr;
  if (::posix_memalign(&block, kTensorAlignment, bytes) != 0) {
    fail(ErrorCode::kDevice, "memory: expected room for {} bytes, the system has none.", bytes);
  }
  return block;
}

class PooledAllocator final : public HostAllocator {
 public:
  at::DataPtr block(size_t bytes) const override {
    const at::Device cpu(at::kCPU);
    if (bytes == 0) {
      return {nullptr, nullptr, &free_block, cpu};
    }
    void* data = bytes < kSmallestPooledBytes ? small_block(bytes) : pool().take(bytes);
    return {data, data, &free_block, cpu};
  }

  /// One for blocks of every size: LibTorch frees raw memory by it.
  at::DeleterFnPtr raw_deleter() const override { return &free_block; }
};

#endif

}  // namespace

bool install_memory_pool() {
#ifndef LOOPBANK_HAS_CUDA
  static PooledAllocator allocator;
  static std::once_flag once;
  // Priority 1: above LibTorch's own, which registers with 0.
  std::call_once(once, [] { c10::SetCPUAllocator(&allocator, /*priority=*/1); });
  return true;
#else
  return false;
#endif
}

MemoryPoolUse memory_pool_use() {
  return pool().use();
}

void release_free_memory() {
  pool().release();
}

}  // namespace loopbank::ops
