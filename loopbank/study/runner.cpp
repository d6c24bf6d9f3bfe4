#include "loopbank/study/runner.h"

#include <ATen/Parallel.h>
#include <fmt/chrono.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <deque>
#include <exception>
#include <mutex>
#include <set>
#include <thread>

#include "loopbank/model/cost.h"
#include "loopbank/study/deadline.h"
#include "loopbank/study/plan.h"
#include "loopbank/study/study_files.h"
#include "loopbank/study/study_part.h"
#include "loopbank/study/study_progress.h"
#include "loopbank/study/study_queue.h"
#include "loopbank/study/system_times.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/folder_lock.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {
namespace {

/// Models below this many parameters train faster side by side, a thread each, than one after
/// another on all threads.
constexpr double kSmallModel = 4e6;
constexpr auto kPatience = std::chrono::milliseconds(200);
/// Of a study's time limit: for what is not measured, saving above all. Runs of the demo took 4 to
/// 8 % longer than was concluded from the measured steps.
constexpr double kReserve = 0.12;

class Study {
 public:
  explicit Study(const StudyOptions& options)
      : options_(options),
        configs_(options.parts),
        files_(options.out),
        deadline_(options.time_limit_seconds),
        progress_(options.show_progress) {
    for (const auto& config : configs_) {
      StudyPart::check(config, options.systems);
    }
    const bool has_limit = options.time_limit_seconds > 0.0;
    if (has_limit) {
      check_limit();
    }
    check_names();
    const auto plan = read_time_plan(options.out);
    if (plan) {
      expect_same_plan(options.out, *plan, configs_.front(), has_limit);
    }
    create_directories(options.out, ErrorCode::kCheckpoint);
    if (has_limit) {
      open_in_time();
    } else {
      open(options.systems);
    }
  }

  StudyOutcome to_end() {
    if (parts_.empty()) {  // stopped while another process measured
      return {};
    }
    if (options_.on_open) {
      options_.on_open();
    }
    write_results();
    progress_.start(shown_runs(), at_once_);
    if (at_once_ == 1) {
      work();
    } else {
      std::vector<std::thread> workers;
      for (size_t i = 0; i < std::min(queue_.runs().size(), static_cast<size_t>(at_once_)); ++i) {
        workers.emplace_back([this] { work(); });
      }
      for (auto& worker : workers) {
        worker.join();
      }
    }
    progress_.finish();
    if (failure_) {
      std::rethrow_exception(failure_);
    }
    return {.result = write_results(), .finished = !stopped_};
  }

 private:
  /// Each part has a folder of its own.
  void check_names() const {
    std::set<std::string> names;
    for (const auto& config : configs_) {
      if (!names.insert(config.part_name()).second) {
        fail(ErrorCode::kConfig,
             "study: expected parts of different names, which are their folders, got {} twice.",
             config.part_name());
      }
    }
  }

  void check_limit() const {
    if (configs_.size() > 1) {
      fail(ErrorCode::kConfig,
           "study: expected --time-limit with one kind of data, got both the embedded benchmark "
           "and --text. Give text in a study file of its own.");
    }
    check_time_limit(configs_.front());
  }

  /// Opens the parts, and queues the runs of these systems.
  void open(const std::vector<std::string>& systems) {
    parts_.clear();
    for (const auto& config : configs_) {
      parts_.emplace_back(config, options_.out / config.part_name(), systems, options_.seeds);
    }
    for (auto& part : parts_) {  // each has found its folder to fit
      part.prepare();
    }
    queue_.fill(parts_);
    at_once_ = choose_at_once();
    threads_of_a_run_ = at::get_num_threads() / static_cast<int>(at_once_);
  }

  /// The same for a study that is kept to a time: with the steps that an earlier call chose, or
  /// that are chosen now.
  void open_in_time() {
    // Of several processes one measures.
    const auto lock = FolderLock::wait_to_hold(options_.out, ErrorCode::kCheckpoint,
                                               [this] { return stop_asked(); });
    if (!lock) {
      stopped_ = true;
      return;
    }
    TimeReport report{.limit_seconds = options_.time_limit_seconds};
    auto& config = configs_.front();
    const auto steps = config.run.training.steps;
    report.plan = {.limit_seconds = options_.time_limit_seconds,
                   .steps = steps,
                   .steps_of_config = steps,
                   .systems = {}};
    if (auto stored = read_time_plan(options_.out)) {
      report.origin = TimeReport::Origin::kStored;
      report.plan = std::move(*stored);
      take_steps(config, report.plan);
    }
    if (report.origin == TimeReport::Origin::kMeasured && holds_runs(options_.out)) {
      report.origin = TimeReport::Origin::kUnlimited;
    }
    open(options_.systems);
    if (report.origin != TimeReport::Origin::kUnlimited && choose(report)) {
      take_steps(config, report.plan);
      open(report.choice.systems);
      // What runs out of time in the end shall be what is missed least.
      queue_.order_systems([this](const std::string& system) { return deadline_.rank(system); });
    }
    if (!stopped_ && options_.on_time_plan) {
      options_.on_time_plan(report);
    }
  }

  /// Measures the systems that no call has measured, and chooses. False where it was stopped.
  bool choose(TimeReport& report) {
    auto& plan = report.plan;
    std::vector<TimedSystem> unknown;
    std::vector<std::string> names;  // of all systems
    for (const auto& run : queue_.runs()) {
      const auto& system = run.job->system;
      if (std::find(names.begin(), names.end(), system.name) != names.end()) {
        continue;
      }
      names.push_back(system.name);
      if (plan.find(system.name) == nullptr) {
        const auto& study = run.part->config().study;
        unknown.push_back({.name = system.name,
                           .label = system.label,
                           .run = run.part->run_to_time(*run.job),
                           .tasks = &run.part->tasks(run.job->seed),
                           .exits = study.exits,
                           .score_points = study.score_points,
                           .score_point_instances = study.score_point_instances});
      }
    }
    auto measured = measure_system_times(
        unknown,
        {.at_once = at_once_, .threads = threads_of_a_run_, .should_stop = options_.should_stop});
    if (measured.size() < unknown.size()) {
      stopped_ = true;
      return false;
    }
    plan.systems.insert(plan.systems.end(), measured.begin(), measured.end());
    const auto systems = times_of(plan, keep_order(names));
    const bool is_new = report.origin == TimeReport::Origin::kMeasured;
    report.budget = {.seconds = (1.0 - kReserve) * report.limit_seconds - deadline_.seconds_gone(),
                     .at_once = at_once_,
                     .least_steps = is_new ? least_steps_of(plan.steps_of_config) : plan.steps,
                     .most_steps = is_new ? plan.steps_of_config : plan.steps};
    report.choice = choose_steps(systems, report.budget);
    plan.steps = report.choice.steps;
    write_time_plan(options_.out, plan);
    plan.systems = systems;
    deadline_.start(plan, report.choice);
    return true;
  }

  /// What these systems take, each with the runs that are not done.
  [[nodiscard]] std::vector<SystemTime> times_of(const TimePlan& plan,
                                                 const std::vector<std::string>& names) const {
    std::vector<SystemTime> systems;
    for (const auto& name : names) {
      systems.push_back(*plan.find(name));
      systems.back().runs =
          std::count_if(queue_.runs().begin(), queue_.runs().end(), [&](const QueuedRun& run) {
            return run.job->system.name == name && !StudyPart::is_done(*run.job);
          });
    }
    return systems;
  }

  /// Asked by every worker: one that failed or was stopped stops the others.
  [[nodiscard]] bool stop_asked() const {
    return stopped_ || (options_.should_stop && options_.should_stop());
  }

  /// Takes run after run until none is left; of these threads there are several.
  void work() {
    at::set_num_threads(threads_of_a_run_);  // of this thread; the number is its own
    try {
      while (!stopped_) {
        const auto claim = next_claim();
        if (claim.all_taken) {
          return;
        }
        if (!claim.run) {  // other processes work on what is left
          stopped_ = stop_asked();
          std::this_thread::sleep_for(kPatience);
        } else if (!complete(claim)) {
          stopped_ = true;
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      failure_ = failure_ ? failure_ : std::current_exception();
    }
  }

  StudyQueue::Claim next_claim() {
    const std::lock_guard lock(mutex_);
    auto claim = queue_.next(deadline_);
    for (size_t i = 0; i < queue_.runs().size(); ++i) {
      if (queue_.runs()[i].is_left_out) {
        progress_.leave_out(i);
      }
    }
    return claim;
  }

  /// False where the study was stopped before the run was done.
  bool complete(const StudyQueue::Claim& claim) {
    const auto number = *claim.run;
    const auto& run = queue_.runs()[number];
    const auto& system = run.job->system;
    const Stopwatch watch;
    if (!claim.was_done) {
      if (stop_asked()) {
        return false;
      }
      progress_.begin(number);
    }
    bool is_whole = false;  // else an earlier call has trained a part of it
    auto result = run.part->complete(
        *run.job,
        [&](const StepMetrics& step, int64_t steps) {
          is_whole = is_whole || step.step == 1;
          progress_.step(number, step, steps);
        },
        [this] { return stop_asked(); });
    if (!result) {
      return false;
    }
    const double seconds = watch.seconds();
    const std::lock_guard lock(mutex_);
    progress_.end(number, is_whole ? seconds : result->seconds + result->evaluation_seconds);
    ++num_done_;
    if (is_whole) {
      deadline_.count_run(system.name, seconds);
    }
    const auto total = queue_.num_wanted();
    if (!claim.was_done && options_.makes_report && files_.is_due() &&
        num_done_ < total) {  // the last one is written at the end
      write_results();
    }
    if (options_.on_run) {
      options_.on_run({.result = std::move(*result),
                       .label = system.label,
                       .columns = run.part->columns(),
                       .number = num_done_,
                       .total = total,
                       .was_done = claim.was_done,
                       .seconds_left = progress_.time_left()});
    }
    return true;
  }

  /// The runs as people see them; of several parts with the part's name.
  [[nodiscard]] std::vector<ShownRun> shown_runs() const {
    std::vector<ShownRun> shown;
    for (const auto& run : queue_.runs()) {
      const auto& system = run.job->system;
      const auto part = parts_.size() > 1 ? run.part->config().part_name() + ", " : "";
      const auto plan = make_plan(system.run);
      shown.push_back({.label = fmt::format("{}{}, seed {}", part, system.label, run.job->seed),
                       .steps = system.run.training.steps,
                       .time = {.system = part + system.name,
                                .flops = plan.cost.training_flops * plan.tokens}});
    }
    return shown;
  }

  /// Runs in work at the same time, at most one a thread. How many are asked for makes no
  /// difference: a run has the same share of the threads, and so the same weights, alone.
  [[nodiscard]] int64_t choose_at_once() const {
    const int64_t threads = at::get_num_threads();
    double largest = 0.0;
    for (const auto& run : queue_.runs()) {
      largest = std::max(largest, model_cost(run.job->system.run.model, 1).parameters.total());
    }
    const int64_t usual = largest < kSmallModel ? threads : 1;
    const int64_t wanted = options_.at_once > 0 ? options_.at_once : usual;
    return std::max<int64_t>(1, std::min(wanted, threads));
  }

  StudyResult write_results() {
    files_.begin();
    StudyResult result{.scale = options_.scale,
                       .title = options_.parts.front().study.title,
                       .command = options_.command,
                       .date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr))),
                       .machine = machine_,
                       .threads = threads_of_a_run_,
                       .finished = queue_.all_done(),
                       .parts = {},
                       .chosen_steps = deadline_.chosen()};
    for (const auto& part : parts_) {
      result.parts.push_back(part.collect());
    }
    if (options_.makes_report) {
      files_.write(result);
    }
    return result;
  }

  const StudyOptions& options_;
  std::vector<StudyConfig> configs_;  // the options', with the steps that were chosen
  const std::string machine_ = machine_name();
  std::deque<StudyPart> parts_;  // whose jobs the queue points to
  StudyQueue queue_;
  int64_t at_once_ = 1;
  int threads_of_a_run_ = 1;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;  // of what follows, the queue's entries, results.json and on_run
  int64_t num_done_ = 0;
  StudyFiles files_;
  Deadline deadline_;  // begins with the study
  StudyProgress progress_;
  std::exception_ptr failure_;
};

}  // namespace

StudyOutcome run_study(const StudyOptions& options) {
  return Study(options).to_end();
}

}  // namespace loopbank
