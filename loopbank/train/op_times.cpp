#include "loopbank/train/op_times.h"

#include <ATen/record_function.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "loopbank/support/stopwatch.h"

namespace loopbank {
namespace {

/// All that was measured; LibTorch calls plain functions, which can reach it here alone.
struct Sums {
  std::mutex mutex;
  std::map<std::string, OpTime> by_name;
};

Sums& sums() {
  static Sums instance;
  return instance;
}

/// An operator that is running: since when, and the time of what it called.
struct Running : at::ObserverContext {
  explicit Running(Running* outer) : caller(outer) {}
  Running* caller;
  Stopwatch watch;
  double inner_seconds = 0.0;
};

thread_local Running* innermost = nullptr;

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& /*function*/) {
  auto running = std::make_unique<Running>(innermost);
  innermost = running.get();
  return running;
}

/// `loopbank::Linear backward` of the node that autograd names
/// torch::autograd::CppNode<loopbank::ops::(anonymous namespace)::Linear>; others as they are.
std::string readable(const std::string& name) {
  constexpr std::string_view kNode = "torch::autograd::CppNode<";
  if (!name.starts_with(kNode)) {
    return name;
  }
  const auto last = name.rfind("::");
  return "loopbank::" + name.substr(last + 2, name.size() - last - 3) + " backward";
}

void end(const at::RecordFunction& function, at::ObserverContext* context) {
  auto* running = static_cast<Running*>(context);
  const double seconds = running->watch.seconds();
  innermost = running->caller;
  if (running->caller != nullptr) {
    running->caller->inner_seconds += seconds;
  }
  const std::lock_guard lock(sums().mutex);
  auto& op = sums().by_name[readable(function.name())];
  ++op.calls;
  op.seconds += seconds - running->inner_seconds;
}

}  // namespace

OpTimes::OpTimes() {
  {
    const std::lock_guard lock(sums().mutex);
    sums().by_name.clear();
  }
  handle_ = at::addGlobalCallback(
      at::RecordFunctionCallback(&begin, &end)
          .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
}

OpTimes::~OpTimes() {
  stop();
}

void OpTimes::stop() {
  if (watching_) {
    at::removeCallback(handle_);
    watching_ = false;
  }
}

std::vector<OpTime> OpTimes::finish() {
  stop();
  const std::lock_guard lock(sums().mutex);
  std::vector<OpTime> ops;
  for (const auto& [name, op] : sums().by_name) {
    ops.push_back({.name = name, .calls = op.calls, .seconds = op.seconds});
  }
  std::sort(ops.begin(), ops.end(),
            [](const OpTime& a, const OpTime& b) { return a.seconds > b.seconds; });
  return ops;
}

}  // namespace loopbank
