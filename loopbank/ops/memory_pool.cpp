#include "loopbank/ops/memory_pool.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#include <torch/version.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

constexpr size_t kAlignment = 64;               // of tensors, and room in front for the size
constexpr size_t kHugePage = size_t{1} << 21U;  // blocks from here on ask for huge pages
constexpr unsigned kClassesAnOctave = 3;        // 2^3: a class wastes at most an eighth

/// The sizes that blocks come in: eight between two powers of two.
size_t size_class(size_t bytes) {
  const size_t step = std::bit_floor(bytes) >> kClassesAnOctave;
  return (bytes + step - 1) / step * step;
}

void* system_block(size_t bytes) {
  void* block = nullptr;
  const size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  if (::posix_memalign(&block, alignment, bytes) != 0) {
    return nullptr;
  }
  if (bytes >= kHugePage) {
    ::madvise(block, bytes, MADV_HUGEPAGE);  // a wish: refused where the system has none
  }
  return block;
}

/// Blocks by size class. A block starts with its size, kAlignment bytes before its data.
class Pool {
 public:
  void* take(size_t bytes) {
    const size_t size = size_class(bytes);
    const std::lock_guard lock(mutex_);
    void* block = take_free(size);
    if (block == nullptr) {
      block = make(size);
    }
    live_ += size;
    most_live_ = std::max(most_live_, live_);
    *static_cast<size_t*>(block) = size;
    return block;
  }

  void give(void* block) {
    const size_t size = *static_cast<size_t*>(block);
    const std::lock_guard lock(mutex_);
    free_blocks_[size].push_back(block);
    live_ -= size;
    free_ += size;
  }

  void release() {
    const std::lock_guard lock(mutex_);
    release_all();
  }

  MemoryPoolUse use() {
    const std::lock_guard lock(mutex_);
    return {.live_bytes = live_, .free_bytes = free_};
  }

 private:
  void* take_free(size_t size) {
    const auto found = free_blocks_.find(size);
    if (found == free_blocks_.end() || found->second.empty()) {
      return nullptr;
    }
    void* block = found->second.back();
    found->second.pop_back();
    free_ -= size;
    return block;
  }

  void* make(size_t size) {
    const auto limit = static_cast<size_t>(kLargestPoolShare * static_cast<double>(most_live_));
    if (live_ + free_ + size > limit) {
      release_all();
    }
    void* block = system_block(size);
    if (block == nullptr) {
      fail(ErrorCode::kDevice,
           "memory: expected room for {} bytes more beside the {} in use, the system has none. Use "
           "a smaller micro_batch or sequence_length.",
           size, live_);
    }
    return block;
  }

  void release_all() {
    for (auto& [size, blocks] : free_blocks_) {
      for (void* block : blocks) {
        std::free(block);
      }
    }
    free_blocks_.clear();
    free_ = 0;
  }

  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_blocks_;
  size_t live_ = 0;
  size_t free_ = 0;
  size_t most_live_ = 0;
};

/// Never destroyed: tensors may outlive every other static object.
Pool& pool() {
  static auto* instance = new Pool;
  return *instance;
}

#if TORCH_VERSION_MAJOR < 2

/// Data follow their block's start by kAlignment bytes, where the block's size stands.
void* data_of(void* block) {
  return static_cast<char*>(block) + kAlignment;
}

void free_block_of(void* data) {
  if (data == nullptr) {
    return;
  }
  void* block = static_cast<char*>(data) - kAlignment;
  if (*static_cast<size_t*>(block) < kSmallestPooledBytes) {
    std::free(block);
  } else {
    pool().give(block);
  }
}

void* small_block(size_t bytes) {
  void* block = nullptr;
  if (::posix_memalign(&block, kAlignment, bytes) != 0) {
    fail(ErrorCode::kDevice, "memory: expected room for {} bytes, the system has none.", bytes);
  }
  *static_cast<size_t*>(block) = bytes;
  return block;
}

class PooledAllocator final : public at::Allocator {
 public:
  at::DataPtr allocate(size_t bytes) const override {
    const at::Device cpu(at::kCPU);
    if (bytes == 0) {
      return {nullptr, nullptr, &free_block_of, cpu};
    }
    const size_t needed = bytes + kAlignment;
    void* data = data_of(needed < kSmallestPooledBytes ? small_block(needed) : pool().take(needed));
    return {data, data, &free_block_of, cpu};
  }

  /// One for blocks of every size: LibTorch frees raw memory by it.
  at::DeleterFnPtr raw_deleter() const override { return &free_block_of; }
};

#endif

}  // namespace

bool install_memory_pool() {
#if TORCH_VERSION_MAJOR < 2
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
