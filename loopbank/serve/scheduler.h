#pragma once
/// Requests of many clients over one engine: a bounded queue, fair between clients (serve/turns.h),
/// and the thread that steps the engine.
///
/// The engine is handed what it can start at once, and no more prompts than it reads in a few passes,
/// so that who comes new has a turn soon whatever others have queued.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/infer/generator.h"
#include "loopbank/support/error.h"

namespace loopbank {

struct SchedulerOptions {
  /// Others' long prompts may make a pass twice as long, and connections want a core too.
  EngineOptions engine{.stretch = 2.0, .chooses_threads = true};
  int64_t max_requests = 256;  ///< pieces of work at a time, those that wait and those that run
  /// Completions of one client at a time; all clients together have a quarter more. In the same way
  /// a client takes at most three quarters of the bytes of keys and values, or runs one request alone.
  int64_t client_texts = 256;
};

/// How a piece of work ended.
enum class WorkOutcome {
  kDone,
  kCancelled,  ///< by `cancel`
  kFailed,     ///< by an error of the engine
  kShutDown,   ///< by `end_all`
};

/// One request of a client: a prompt, or several that run together. The functions are called on the
/// engine's thread, must not block and must not call the scheduler, but for `cancel`; each may be
/// empty. What one throws ends its work as kFailed.
struct Work {
  std::string client{};             ///< whom a turn is owed
  std::vector<Request> requests{};  ///< one a prompt, checked (Generator::request_of)
  std::vector<std::string> stop{};
  /// A token of a completion, or (before any) the scores of its prompt: `so_far` has what came, and
  /// `piece` the text that is sure now, maybe none.
  std::function<void(size_t prompt, const Generation& so_far, std::string_view piece)> on_token{};
  std::function<void(size_t prompt, Generation generation)> on_finished{};  ///< a completion's end
  /// Once, behind everything else. `error` where it failed.
  std::function<void(WorkOutcome outcome, const std::optional<Error>& error)> on_end{};
};

/// Nothing is taken now.
class SchedulerBusy : public std::runtime_error {
 public:
  SchedulerBusy(const std::string& message, bool shuts_down, int retry_after_seconds)
      : std::runtime_error(message),
        is_shutting_down(shuts_down),
        retry_after(retry_after_seconds) {}
  bool is_shutting_down;
  int retry_after;  ///< seconds
};

struct SchedulerState {
  int64_t waiting = 0;  ///< pieces of work
  int64_t running = 0;
  int64_t cache_bytes = 0;  ///< of keys and values, held now
  int64_t cache_budget_bytes = 0;
  int64_t generated_tokens = 0;  ///< since the start
  int64_t prompt_tokens = 0;     ///< read or found in the cache since the start
  EngineCounts engine{};
};

class Scheduler {
 public:
  using Ticket = int64_t;

  Scheduler(const LanguageModel& model, const Tokenizer& tokenizer,
            const SchedulerOptions& options);
  ~Scheduler();

  /// From any thread.
  /// @throws SchedulerBusy where the queue is full or nothing is taken any more
  /// @throws Error kConfig where a request may take more keys and values than there can ever be
  Ticket submit(Work work);
  /// Ends a piece of work before the engine's next step; its keys and values are free then. One that
  /// has ended already, or that never was, is left alone. From any thread.
  void cancel(Ticket ticket);
  /// From now on `submit` refuses; what was taken goes on.
  void stop_taking();
  /// Whether all that was taken has ended.
  [[nodiscard]] bool wait_idle(double seconds);
  /// Ends what is left, each as kShutDown, and returns when all have ended. Nothing is taken any more.
  void end_all();
  /// As of the end of the engine's last step.
  [[nodiscard]] SchedulerState state() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace loopbank
