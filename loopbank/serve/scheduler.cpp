#include "loopbank/serve/scheduler.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <unordered_map>
#include <utility>

#include "loopbank/serve/turns.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {
namespace {

/// Prompts are handed over while fewer passes than these would read what the engine has.
constexpr int64_t kPassesAhead = 2;
constexpr double kMostRetrySeconds = 60.0;

/// What is being thrown, as an error in one line.
Error error_now() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return {ErrorCode::kDevice,
            "scheduler: expected memory for the requests that run, got none. Ask for less at a "
            "time."};
  } catch (const std::exception& error) {
    const std::string text = error.what();  // LibTorch's goes on with a backtrace
    return {ErrorCode::kDevice, text.substr(0, text.find('\n'))};
  }
}

TurnLimits limits_of(const SchedulerOptions& options) {
  return {.texts = options.client_texts + std::max<int64_t>(options.client_texts / 4, 1),
          .client_texts = options.client_texts,
          .bytes = options.engine.cache_bytes,
          .client_bytes = options.engine.cache_bytes / 4 * 3};
}

EngineOptions engine_of(const SchedulerOptions& options) {
  auto engine = options.engine;
  engine.stretch = options.stretch;
  return engine;
}

}  // namespace

struct Scheduler::Impl {
  /// Work that has not ended.
  struct Piece {
    Ticket ticket = 0;
    Work work;
    size_t unfinished = 0;           // completions
    std::vector<RequestId> running;  // of the generator
    std::optional<Stopwatch> since_start{};
    std::optional<Error> error{};  // of one of its functions
  };
  /// A prompt that runs.
  struct Prompted {
    Piece* piece = nullptr;
    size_t prompt = 0;
    int64_t unfinished = 0;  // completions
    int64_t bytes = 0;
  };

  Impl(const LanguageModel& model, const Tokenizer& tokenizer, const SchedulerOptions& its_options)
      : options(its_options),
        generator(model, tokenizer, engine_of(its_options)),
        turns(limits_of(its_options)) {
    state.cache_budget_bytes = its_options.engine.cache_bytes;
    thread = std::thread([this, threads = at::get_num_threads()] {
      at::set_num_threads(threads);
      run();
    });
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      quits = true;
      ends_all = true;
      takes = false;
    }
    wake.notify_one();
    thread.join();
  }

  // From any thread.
  void refuse_if_full();
  [[nodiscard]] int retry_after() const;

  // On the engine's thread.
  void run();
  bool take_orders();
  void enqueue(std::unique_ptr<Piece> piece);
  void feed();
  void start(const Turns::Entry& entry);
  bool on_token(Piece& piece, size_t prompt, const Generation& so_far, std::string_view text);
  void step();
  void finish(Generation generation);
  void fail_running(const Error& error);
  void end(Ticket ticket, WorkOutcome outcome, const std::optional<Error>& error);
  void publish();

  const SchedulerOptions options;

  mutable std::mutex mutex;  // of what follows
  std::condition_variable wake;
  std::condition_variable ended;
  std::vector<std::unique_ptr<Piece>> incoming;
  std::vector<Ticket> cancelled;
  Ticket next_ticket = 1;
  int64_t live = 0;              // pieces of work
  double seconds_of_work = 0.0;  // exponential mean, from start to end; 0: none has ended
  bool takes = true;
  bool ends_all = false;
  bool quits = false;
  SchedulerState state;

  // Of the engine's thread alone, but for what of the generator is const.
  Generator generator;
  Turns turns;
  std::unordered_map<Ticket, std::unique_ptr<Piece>> pieces;
  std::unordered_map<RequestId, Prompted> prompts;
  int64_t started = 0;         // pieces
  std::vector<Ticket> broken;  // pieces whose functions threw in this step

  std::thread thread;
};

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

void Scheduler::Impl::run() {
  while (take_orders()) {
    try {
      feed();
      step();
    } catch (...) {
      fail_running(error_now());
    }
    publish();
  }
}

/// Takes in what was submitted and cancelled; waits while there is nothing to do. Whether to go on.
bool Scheduler::Impl::take_orders() {
  std::vector<std::unique_ptr<Piece>> new_pieces;
  std::vector<Ticket> to_cancel;
  bool ends = false;
  bool goes_on = true;
  {
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] {
      return !pieces.empty() || !incoming.empty() || !cancelled.empty() || ends_all || quits;
    });
    new_pieces.swap(incoming);
    to_cancel.swap(cancelled);
    ends = std::exchange(ends_all, false);
    goes_on = !quits;
  }
  for (auto& piece : new_pieces) {
    enqueue(std::move(piece));
  }
  for (const auto ticket : to_cancel) {
    end(ticket, WorkOutcome::kCancelled, std::nullopt);
  }
  while (ends && !pieces.empty()) {
    end(pieces.begin()->first, WorkOutcome::kShutDown, std::nullopt);
  }
  return goes_on;
}

void Scheduler::Impl::enqueue(std::unique_ptr<Piece> piece) {
  const auto& work = piece->work;
  for (size_t p = 0; p < work.requests.size(); ++p) {
    const auto& request = work.requests[p];
    piece->unfinished += static_cast<size_t>(request.completions);
    turns.add(work.client, {.work = piece->ticket,
                            .prompt = p,
                            .texts = request.completions,
                            .bytes = generator.engine().bytes_of(request)});
  }
  const auto ticket = piece->ticket;
  const bool is_empty = piece->unfinished == 0;
  pieces.emplace(ticket, std::move(piece));
  if (is_empty) {
    end(ticket, WorkOutcome::kDone, std::nullopt);
  }
}

void Scheduler::Impl::feed() {
  const auto most_unread = kPassesAhead * options.engine.batch_tokens;
  auto unread = generator.engine().unread_prompt_tokens();
  while (unread < most_unread) {
    const auto entry = turns.next();
    if (!entry) {
      return;
    }
    const auto& requests = pieces.at(entry->work)->work.requests;
    unread += std::ssize(requests[entry->prompt].prompt);
    start(*entry);
  }
}

void Scheduler::Impl::start(const Turns::Entry& entry) {
  auto& piece = *pieces.at(entry.work);
  if (!piece.since_start) {
    piece.since_start.emplace();
    ++started;
  }
  try {
    auto& request = piece.work.requests[entry.prompt];
    const auto tell = [this, &piece, prompt = entry.prompt](const Generation& so_far,
                                                            std::string_view text) {
      return on_token(piece, prompt, so_far, text);
    };
    const auto id = generator.add(std::move(request), piece.work.stop, tell);
    prompts.emplace(id, Prompted{.piece = &piece,
                                 .prompt = entry.prompt,
                                 .unfinished = entry.texts,
                                 .bytes = entry.bytes});
    piece.running.push_back(id);
  } catch (...) {
    turns.give_back(piece.work.client, entry.texts, entry.bytes);
    end(entry.work, WorkOutcome::kFailed, error_now());
  }
}

bool Scheduler::Impl::on_token(Piece& piece, size_t prompt, const Generation& so_far,
                               std::string_view text) {
  try {
    if (!piece.error && piece.work.on_token) {
      piece.work.on_token(prompt, so_far, text);
    }
  } catch (...) {
    piece.error = error_now();
    broken.push_back(piece.ticket);
  }
  return !piece.error;
}

void Scheduler::Impl::step() {
  for (auto& generation : generator.step()) {
    finish(std::move(generation));
  }
  for (const auto ticket : std::exchange(broken, {})) {
    const auto found = pieces.find(ticket);
    if (found != pieces.end()) {
      end(ticket, WorkOutcome::kFailed, std::optional<Error>(found->second->error));
    }
  }
}

void Scheduler::Impl::finish(Generation generation) {
  const auto found = prompts.find(generation.request);
  auto& prompted = found->second;
  auto& piece = *prompted.piece;
  const auto prompt = prompted.prompt;
  const bool is_last = --prompted.unfinished == 0;
  turns.give_back(piece.work.client, 1, is_last ? prompted.bytes : 0);
  if (is_last) {
    std::erase(piece.running, generation.request);
    prompts.erase(found);
  }
  --piece.unfinished;
  try {
    if (!piece.error && piece.work.on_finished) {
      piece.work.on_finished(prompt, std::move(generation));
    }
  } catch (...) {
    piece.error = error_now();
    broken.push_back(piece.ticket);
  }
  if (piece.unfinished == 0 && !piece.error) {
    end(piece.ticket, WorkOutcome::kDone, std::nullopt);
  }
}

/// A pass that breaks off leaves what ran half done: all of it ends, and what waits goes on.
void Scheduler::Impl::fail_running(const Error& error) {
  std::vector<Ticket> tickets;
  for (const auto& [ticket, piece] : pieces) {
    if (!piece->running.empty()) {
      tickets.push_back(ticket);
    }
  }
  for (const auto ticket : tickets) {
    end(ticket, WorkOutcome::kFailed, error);
  }
}

void Scheduler::Impl::end(Ticket ticket, WorkOutcome outcome, const std::optional<Error>& error) {
  const auto found = pieces.find(ticket);
  if (found == pieces.end()) {
    return;
  }
  const auto piece = std::move(found->second);
  pieces.erase(found);
  for (const auto id : piece->running) {
    const auto& prompted = prompts.at(id);
    turns.give_back(piece->work.client, prompted.unfinished, prompted.bytes);
    prompts.erase(id);
    (void)generator.cancel(id);
  }
  turns.drop(piece->work.client, ticket);
  started -= piece->since_start ? 1 : 0;
  try {
    if (piece->work.on_end) {
      piece->work.on_end(outcome, error);
    }
  } catch (...) {
    // Nobody is left to tell.
  }
  {
    const std::lock_guard lock(mutex);
    --live;
    if (outcome == WorkOutcome::kDone && piece->since_start) {
      const double seconds = piece->since_start->seconds();
      seconds_of_work = seconds_of_work == 0.0 ? seconds : 0.9 * seconds_of_work + 0.1 * seconds;
    }
    state.running = started;
    state.waiting = live - started;
    state.cache_bytes = generator.engine().store().bytes_in_use();
  }
  ended.notify_all();
}

void Scheduler::Impl::publish() {
  const auto& engine = generator.engine();
  const std::lock_guard lock(mutex);
  state.running = started;
  state.waiting = live - started;
  state.cache_bytes = engine.store().bytes_in_use();
  state.engine = engine.counts();
  state.generated_tokens = engine.counts().generated;
  state.prompt_tokens = engine.counts().prompt_tokens + engine.counts().shared_tokens;
}

Scheduler::Scheduler(const LanguageModel& model, const Tokenizer& tokenizer,
                     const SchedulerOptions& options)
    : impl_(std::make_unique<Impl>(model, tokenizer, options)) {}

Scheduler::~Scheduler() = default;

Request Scheduler::request_of(const Prompt& prompt, const GenerateOptions& options,
                              std::string_view where) const {
  return impl_->generator.request_of(prompt, options, where);
}

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
