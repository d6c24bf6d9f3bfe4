/// A step of decoding hardly allocates and never goes through LibTorch's dispatcher, either of which
/// costs as much as a small product: counted here, by functions of the C library's names in front of
/// its own, and by LibTorch's observers.

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/record_function.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/infer/looping_model.h"

namespace {

std::atomic<bool> is_counting{false};
std::atomic<int64_t> allocations{0};

void note_allocation() {
  if (is_counting.load(std::memory_order_relaxed)) {
    allocations.fetch_add(1, std::memory_order_relaxed);
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

constexpr int64_t kLayers = 2;  // of the model
constexpr int64_t kLoops = 3;

/// The lists that a GatedSum makes of its terms in each loop: the terms, their gates (two banks, one
/// after the other), biases and memories likewise.
constexpr int64_t kOfGatedSum = 7;
/// The list of tokens that step() returns.
constexpr int64_t kOfAnswer = 1;

/// An engine in the middle of a text, and of a page of sixteen tokens, that it has written before.
Engine& warmed_up(Engine& engine, const std::string& exit, const KeyValuePolicy& policy) {
  const auto request = request_of(some_prompt(8, 1), 80, exit, std::string(policy.name()));
  for (int text = 0; text < 4; ++text) {
    engine.add(request);
    testing::run_all(engine);
  }
  engine.add(request);
  for (int64_t written = 0; written < 60;) {
    written += static_cast<int64_t>(engine.step().generated.size());
  }
  return engine;
}

/// visit(engine, what it is) for every rule, policy and dtype.
template <typename Visit>
void for_each_engine(int64_t slots, const Visit& visit,
                     const std::function<void(ModelConfig&)>& change = {}) {
  const auto model = looping_model(kLoops, slots, change);
  for (const std::string exit : {"all", "cdf:0.5", "change:0.3", "accel:0.5,hard", "budget:2"}) {
    for (const auto* policy : key_value_policies()) {
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        Engine engine(model, {.compute_dtype = dtype});
        visit(warmed_up(engine, exit, *policy),
              fmt::format("{} {} {}", exit, policy->name(), c10::toString(dtype)));
      }
    }
  }
}

/// The most of the next steps, which take no new page.
int64_t most_allocations(Engine& engine) {
  int64_t most = 0;
  for (int64_t i = 0; i < 8; ++i) {
    allocations = 0;
    is_counting = true;
    const auto output = engine.step();
    is_counting = false;
    EXPECT_EQ(output.generated.size(), 1U);
    most = std::max<int64_t>(most, allocations);
  }
  return most;
}

#ifdef LOOPBANK_COUNTS_ALLOCATIONS
TEST(DecodingStep, AllocatesTheListThatItReturns) {
  for_each_engine(/*slots=*/0, [](Engine& engine, const std::string& what) {
    EXPECT_LE(most_allocations(engine), kOfAnswer) << what;
  });
}

TEST(DecodingStep, AllocatesTheListsOfAGatedSumWithMemoryBanks) {
  for_each_engine(/*slots=*/5, [](Engine& engine, const std::string& what) {
    EXPECT_LE(most_allocations(engine), kOfAnswer + kLayers * kLoops * kOfGatedSum) << what;
  });
}

TEST(DecodingStep, AllocatesNoMoreWithTheBlockOfAnImportedModel) {
  for_each_engine(
      /*slots=*/0,
      [](Engine& engine, const std::string& what) {
        EXPECT_LE(most_allocations(engine), kOfAnswer) << what;
      },
      testing::options_of_imported("before"));
}

TEST(DecodingStep, TheCountSeesAnAllocation) {
  allocations = 0;
  is_counting = true;
  const auto some = std::make_unique<std::vector<int>>(100);
  is_counting = false;
  EXPECT_EQ(allocations, 2);
  EXPECT_EQ(some->size(), 100U);
}
#endif

std::vector<std::string>& dispatched() {
  static std::vector<std::string> calls;
  return calls;
}

std::unique_ptr<at::ObserverContext> note_call(const at::RecordFunction& call) {
  const std::string name = call.name();
  if (!name.starts_with("loopbank::")) {  // ours, which announce themselves
    dispatched().push_back(name);
  }
  return nullptr;
}

/// Names of LibTorch's ops that a function calls through the dispatcher.
template <typename Function>
std::vector<std::string> calls_of(const Function& function) {
  dispatched().clear();
  const auto handle = at::addGlobalCallback(at::RecordFunctionCallback(&note_call));
  function();
  at::removeCallback(handle);
  return dispatched();
}

TEST(DecodingStep, CallsNothingThroughTheDispatcher) {
  for (const int64_t slots : {0, 5}) {
    for_each_engine(slots, [](Engine& engine, const std::string& what) {
      EXPECT_EQ(calls_of([&] { engine.step(); }), std::vector<std::string>()) << what;
    });
  }
}

TEST(DecodingStep, CallsNothingWithTheBlockOfAnImportedModel) {
  for_each_engine(
      /*slots=*/0,
      [](Engine& engine, const std::string& what) {
        EXPECT_EQ(calls_of([&] { engine.step(); }), std::vector<std::string>()) << what;
      },
      testing::options_of_imported("none"));
}

TEST(DecodingStep, TheCountSeesACall) {
  EXPECT_EQ(calls_of([] { (void)at::empty({2}).sum(); }).front(), "aten::empty");
}

}  // namespace
}  // namespace loopbank
