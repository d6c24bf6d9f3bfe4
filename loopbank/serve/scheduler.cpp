#include "loopbank/serve/scheduler.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "loopbank/serve/scheduler_impl.h"

namespace loopbank {
namespace {

constexpr double kMostRetrySeconds = 60.0;

TurnLimits limits_of(const SchedulerOptions& options) {
  return {.texts = options.client_texts + std::max<int64_t>(options.client_texts / 4, 1),
          .client_texts = options.client_texts,
          .bytes = options.engine.cache_bytes,
          .client_bytes = options.engine.cache_bytes / 4 * 3};
}

}  // namespace

Scheduler::Impl::Impl(const LanguageModel& model, const Tokenizer& tokenizer,
                      const SchedulerOptions& its_options)
    : options(its_options),
      generator(model, tokenizer, its_options.engine),
      turns(limits_of(its_options)) {
  state.cache_budget_bytes = its_options.engine.cache_bytes;
  thread = std::thread([this, threads = at::get_num_threads()] {
    at::set_num_threads(threads);
    run();
  });
}

Scheduler::Impl::~Impl() {
  {
    const std::lock_guard lock(mutex);
    quits = true;
    ends_all = true;
    takes = false;
  }
  wake.notify_one();
  thread.join();
}

/// About when half of what is there now has ended, in whole seconds.
int Scheduler::Impl::retry_after() const {
  const auto running = static_cast<double>(std::max<int64_t>(state.running, 1));
  const double seconds = seconds_of_work * static_cast<double>(live) / (2.0 * running);
  return static_cast<int>(std::clamp(std::ceil(seconds), 1.0, kMostRetrySeconds));
}

void Scheduler::Impl::refuse_if_full() {
  if (!takes) {
    throw SchedulerBusy("the server is shutting down and takes no new requests.",
                        /*shuts_down=*/true, retry_after());
  }
  if (live >= options.max_requests) {
    throw SchedulerBusy(
        fmt::format("expected at most {} requests at a time (--max-requests), got one more. Try "
                    "again later.",
                    options.max_requests),
        /*shuts_down=*/false, retry_after());
  }
}

Scheduler::Scheduler(const LanguageModel& model, const Tokenizer& tokenizer,
                     const SchedulerOptions& options)
    : impl_(std::make_unique<Impl>(model, tokenizer, options)) {}

Scheduler::~Scheduler() = default;

Scheduler::Ticket Scheduler::submit(Work work) {
  for (const auto& request : work.requests) {
    impl_->generator.engine().check(request);
  }
  auto piece = std::make_unique<Impl::Piece>();
  piece->work = std::move(work);
  Ticket ticket = 0;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->refuse_if_full();
    ticket = piece->ticket = impl_->next_ticket++;
    impl_->incoming.push_back(std::move(piece));
    ++impl_->live;
    ++impl_->state.waiting;
  }
  impl_->wake.notify_one();
  return ticket;
}

void Scheduler::cancel(Ticket ticket) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->cancelled.push_back(ticket);
  }
  impl_->wake.notify_one();
}

void Scheduler::stop_taking() {
  const std::lock_guard lock(impl_->mutex);
  impl_->takes = false;
}

bool Scheduler::wait_idle(double seconds) {
  std::unique_lock lock(impl_->mutex);
  return impl_->ended.wait_for(lock, std::chrono::duration<double>(seconds),
                               [&] { return impl_->live == 0; });
}

void Scheduler::end_all() {
  std::unique_lock lock(impl_->mutex);
  impl_->takes = false;
  impl_->ends_all = true;
  impl_->wake.notify_one();
  impl_->ended.wait(lock, [&] { return impl_->live == 0; });
}

SchedulerState Scheduler::state() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->state;
}

}  // namespace loopbank
