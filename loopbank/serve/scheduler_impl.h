#pragma once
/// The inside of the scheduler: what its callers share with the engine's thread, and what only that
/// thread sees.

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "loopbank/serve/scheduler.h"
#include "loopbank/serve/turns.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {

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

  Impl(const LanguageModel& model, const Tokenizer& tokenizer, const SchedulerOptions& its_options);
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

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

}  // namespace loopbank
