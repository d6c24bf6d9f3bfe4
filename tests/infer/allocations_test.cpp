/// A step of decoding neither allocates nor goes through LibTorch's dispatcher, whose costs are
/// those of a small product each: counted here, by functions of the C library's names in front of
/// its own, and by LibTorch's observers.

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <execinfo.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <map>
#include <string>

#include "tests/infer/looping_model.h"

namespace {

std::atomic<bool> is_counting{false};
std::atomic<int64_t> allocations{0};

void note_allocation() {
  if (is_counting.load(std::memory_order_relaxed)) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (getenv("BT")) { is_counting = false; void* b[24]; int n = backtrace(b, 24); backtrace_symbols_fd(b, n, 1); write(1, "--\n", 3); is_counting = true; }
  }
}

}  // namespace

// A sanitizer has its own.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define LOOPBANK_COUNTS_ALLOCATIONS
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* block, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);

void* malloc(size_t bytes) noexcept {
  note_allocation();
  return __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) noexcept {
  note_allocation();
  return __libc_calloc(count, bytes);
}
void* realloc(void* block, size_t bytes) noexcept {
  note_allocation();
  return __libc_realloc(block, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) noexcept {
  note_allocation();
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** block, size_t alignment, size_t bytes) noexcept {
  note_allocation();
  *block = __libc_memalign(alignment, bytes);
  return *block != nullptr ? 0 : ENOMEM;
}
}
#endif

namespace loopbank {
namespace {

using testing::looping_model;
using testing::request_of;
using testing::some_prompt;

std::map<std::string, int64_t>& dispatched() {
  static std::map<std::string, int64_t> calls;
  return calls;
}

std::unique_ptr<at::ObserverContext> note_call(const at::RecordFunction& call) {
  const std::string name = call.name();
  if (!name.starts_with("loopbank::")) {
    ++dispatched()[name];
  }
  return nullptr;
}

/// The most allocations of a step within a page of sixteen tokens.
int64_t most_allocations(Engine& engine, int64_t steps) {
  int64_t most = 0;
  for (int64_t i = 0; i < steps; ++i) {
    allocations = 0;
    is_counting = true;
    { const auto output = engine.step(); }
    is_counting = false;
    most = std::max<int64_t>(most, allocations);
  }
  return most;
}

TEST(DecodingStep, Temporary) {
  for (const std::string exit : {"all", "cdf:0.5", "change:0.3", "accel:0.5", "budget:2"}) {
    for (const auto* policy : key_value_policies()) {
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        for (int64_t slots : {0, 5}) {
          const auto model = looping_model(3, slots);
          Engine engine(model, {.compute_dtype = dtype});
          engine.add(request_of(some_prompt(20, 1), 70, exit, std::string(policy->name())));
          for (int i = 0; i < 30; ++i) engine.step();
          const auto most = most_allocations(engine, 10);
          dispatched().clear();
          const auto handle = at::addGlobalCallback(at::RecordFunctionCallback(&note_call));
          engine.step();
          at::removeCallback(handle);
          std::printf("%s %s %s %ld: %ld;", exit.c_str(), std::string(policy->name()).c_str(), c10::toString(dtype), slots, most);
          for (auto& [name, n] : dispatched()) std::printf(" %s %ld", name.c_str(), n);
          std::printf("\n");
        }
      }
    }
  }
}

}  // namespace
}  // namespace loopbank
