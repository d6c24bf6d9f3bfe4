#include "loopbank/ops/huge_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <mutex>

#include "loopbank/support/error.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20U;
/// Of addresses, which cost nothing until they are written to.
constexpr size_t kFewestNeighbourhoodBytes = size_t{64} << 20U;
constexpr size_t kCacheLineBytes = 64;

/// A range of addresses on whole huge pages, handed out from its beginning.
class Neighbourhood {
 public:
  explicit Neighbourhood(size_t bytes) : mapped_bytes_(bytes + kHugePageBytes) {
    mapped_ = ::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped_ == MAP_FAILED) {
      fail(ErrorCode::kDevice,
           "memory: expected room for {} bytes of weights, the system has none.", bytes);
    }
    const auto address = reinterpret_cast<uintptr_t>(mapped_);
    next_ = static_cast<char*>(mapped_) + (round_up(address, kHugePageBytes) - address);
    end_ = next_ + bytes;
    ::madvise(next_, bytes, MADV_HUGEPAGE);  // a wish: not granted where the system has none
  }
  ~Neighbourhood() { ::munmap(mapped_, mapped_bytes_); }
  Neighbourhood(const Neighbourhood&) = delete;
  Neighbourhood& operator=(const Neighbourhood&) = delete;

  /// Null where it is full.
  char* take(size_t bytes) {
    if (bytes > static_cast<size_t>(end_ - next_)) {
      return nullptr;
    }
    auto* const block = next_;
    next_ += bytes;
    return block;
  }

 private:
  void* mapped_ = nullptr;
  size_t mapped_bytes_;
  char* next_ = nullptr;
  char* end_ = nullptr;
};

}  // namespace

std::shared_ptr<char> take_huge_memory(size_t bytes) {
  static std::mutex mutex;
  static std::weak_ptr<Neighbourhood> latest;
  const auto wanted = round_up(std::max(bytes, size_t{1}), kCacheLineBytes);
  const std::lock_guard lock(mutex);
  if (const auto neighbourhood = latest.lock()) {
    if (auto* const block = neighbourhood->take(wanted)) {
      return {neighbourhood, block};
    }
  }
  const auto neighbourhood = std::make_shared<Neighbourhood>(
      round_up(std::max(wanted, kFewestNeighbourhoodBytes), kHugePageBytes));
  latest = neighbourhood;
  return {neighbourhood, neighbourhood->take(wanted)};
}

}  // namespace loopbank::ops
