#pragma once
/// Memory for what a thread computes between two results: it stays the thread's own, and with it
/// the cache lines that it lies in.

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace loopbank::ops {

/// Grows to the largest size that it was asked for; made to be thread_local.
class Scratchpad {
 public:
  /// `bytes` of them from a multiple of 64 on, with what they last held; null for none.
  void* of_size(size_t bytes) {
    if (bytes > size_) {
      data_.reset();  // not both at a time
      size_ = (bytes / kAlignment + 1) * kAlignment;
      data_.reset(std::aligned_alloc(kAlignment, size_));
    }
    return data_.get();
  }

 private:
  static constexpr size_t kAlignment = 64;
  struct Free {
    void operator()(void* data) const { std::free(data); }
  };
  std::unique_ptr<void, Free> data_;
  size_t size_ = 0;
};

}  // namespace loopbank::ops
