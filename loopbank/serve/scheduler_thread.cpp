/// The thread that steps the engine: takes orders, starts what is next in turn, runs a pass, tells.

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "loopbank/serve/scheduler_impl.h"

namespace loopbank {
namespace {

/// Prompts are handed over while fewer passes than these would read what the engine has.
constexpr int64_t kPassesAhead = 2;

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

}  // namespace

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

}  // namespace loopbank
