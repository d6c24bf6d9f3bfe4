#include "loopbank/study/system_times.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "loopbank/dissect/inside.h"
#include "loopbank/eval/evaluate.h"
#include "loopbank/study/run_exits.h"
#include "loopbank/study/score_points.h"
#include "loopbank/support/rounding.h"
#include "loopbank/support/statistics.h"
#include "loopbank/support/stopwatch.h"
#include "loopbank/train/benchmark_steps.h"
#include "loopbank/train/device.h"
#include "loopbank/train/run_data.h"
#include "loopbank/train/validation.h"

namespace loopbank {
namespace {

constexpr int kWarmupSteps = 2;  // fill caches and pools
constexpr size_t kFewestSteps = 3;
constexpr double kSecondsOfSteps = 0.5;  // of one system
constexpr int64_t kSampleRows = 8;       // of a validation
constexpr size_t kSampleQuestions = 32;  // of a task

template <typename Action>
double seconds_taken_by(const Action& action) {
  const Stopwatch watch;
  action();
  return watch.seconds();
}

/// Median seconds of a training step.
double step_seconds(BenchmarkSteps& steps, const std::function<bool()>& stop_asked) {
  std::vector<double> seconds;
  double sum = 0.0;
  for (int i = 0; i < kWarmupSteps; ++i) {
    (void)steps.run();
  }
  while (!stop_asked() && (seconds.size() < kFewestSteps || sum < kSecondsOfSteps)) {
    seconds.push_back(steps.run());
    sum += seconds.back();
  }
  return median(std::move(seconds));
}

/// Seconds of all validations of a run and of the look within after its last.
double validation_seconds(const LanguageModel& model, const RunConfig& run, const RunData& data) {
  if (!data.validation) {
    return 0.0;
  }
  const SequentialRows all(data.validation, run.training.sequence_length);
  const auto wanted = std::min(run.training.validation_rows, all.num_rows());
  const auto rows = std::min(kSampleRows, wanted);
  auto training = run.training;
  training.validation_rows = rows;
  const auto forward = training.forward_options();
  const Validator validator(data.validation, data.tokenizer, training);
  const double validation = seconds_taken_by([&] { (void)validator.validate(model, 0, forward); });
  InsideOptions options;
  options.compute_dtype = forward.compute_dtype;
  const double inside = seconds_taken_by(
      [&] { (void)measure_inside(model, data.tokenizer, all.rows(0, rows), options); });
  const int64_t every = training.validate_every > 0 ? training.validate_every : training.steps;
  const auto validations = static_cast<double>(divide_up(training.steps, every));
  return (validations * validation + inside) * static_cast<double>(wanted) /
         static_cast<double>(rows);
}

/// Seconds of scoring questions.
struct ScoringSeconds {
  double at_the_end = 0.0;  ///< all of them
  double on_the_way = 0.0;  ///< those of all points of the training, together
};

/// From the first questions of each task.
ScoringSeconds scoring_seconds(const LanguageModel& model, const TimedSystem& system,
                               const Tokenizer& tokenizer) {
  EvalOptions options;
  options.compute_dtype = system.run.training.forward_options().compute_dtype;
  const auto points = score_steps(system.run.training.steps, system.score_points).size();
  const auto points_scored = points < 2 ? 0.0 : static_cast<double>(points);
  ScoringSeconds seconds;
  for (const auto& task : *system.tasks) {
    auto some = task;
    some.instances.resize(std::min(kSampleQuestions, task.instances.size()));
    const double seconds_a_question =
        seconds_taken_by([&] { (void)evaluate(model, tokenizer, {some}, options); }) /
        static_cast<double>(some.instances.size());
    const auto questions = std::ssize(task.instances);
    seconds.at_the_end += seconds_a_question * static_cast<double>(questions);
    seconds.on_the_way += seconds_a_question * points_scored *
                          static_cast<double>(std::min(questions, system.score_point_instances));
  }
  return seconds;
}

/// Seconds of measuring exits, which is done on the CPU.
double exits_seconds(const RunConfig& run, const RunData& data, double scoring) {
  LanguageModel model(run.model);
  model.parameters().initialize(static_cast<uint64_t>(run.training.seed));
  return estimate_exits_seconds(model, data.tokenizer, data.validation, run, scoring);
}

/// Systems timed side by side, by as many threads as a study has runs in work.
class Timing {
 public:
  Timing(const std::vector<TimedSystem>& systems, const TimingOptions& options)
      : systems_(systems), options_(options), times_(systems.size()), left_(systems.size()) {}

  std::vector<SystemTime> to_end() {
    std::vector<std::thread> workers;
    for (int64_t i = 0; i < options_.at_once; ++i) {
      workers.emplace_back([this] { work(); });
    }
    for (auto& worker : workers) {
      worker.join();
    }
    if (failure_) {
      std::rethrow_exception(failure_);
    }
    return stop_asked() ? std::vector<SystemTime>() : times_;
  }

 private:
  [[nodiscard]] bool stop_asked() const {
    return failed_ || (options_.should_stop && options_.should_stop());
  }

  void work() {
    at::set_num_threads(options_.threads);  // of this thread; the number is its own
    try {
      std::unique_ptr<BenchmarkSteps> last;
      for (size_t i = next_++; i < systems_.size() && !stop_asked(); i = next_++) {
        times_[i] = time_of(systems_[i], last);
        --left_;
      }
      // Beside the others stands what stands beside them in the study.
      while (last && left_ > 0 && !stop_asked()) {
        (void)last->run();
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failed_ = true;
      failure_ = failure_ ? failure_ : std::current_exception();
    }
  }

  SystemTime time_of(const TimedSystem& system, std::unique_ptr<BenchmarkSteps>& steps) const {
    const auto& run = system.run;
    const auto device = choose_device(run.training.device);
    SystemTime time{.system = system.name, .label = system.label};
    steps = std::make_unique<BenchmarkSteps>(run, device);
    time.tokens_a_step = static_cast<double>(steps->tokens_per_step());
    time.seconds_a_step = step_seconds(*steps, [this] { return stop_asked(); });
    const auto data = open_run_data(run);
    LanguageModel model(run.model, device);
    model.parameters().initialize(static_cast<uint64_t>(run.training.seed));
    const auto scoring = scoring_seconds(model, system, data.tokenizer);
    time.rest_seconds =
        validation_seconds(model, run, data) + scoring.at_the_end + scoring.on_the_way;
    if (system.exits) {
      time.rest_seconds += exits_seconds(run, data, scoring.at_the_end);
    }
    return time;
  }

  const std::vector<TimedSystem>& systems_;
  const TimingOptions& options_;
  std::vector<SystemTime> times_;
  std::atomic<size_t> next_ = 0;
  std::atomic<size_t> left_;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;  // of what follows
  std::exception_ptr failure_;
};

}  // namespace

std::vector<SystemTime> measure_system_times(const std::vector<TimedSystem>& systems,
                                             const TimingOptions& options) {
  return systems.empty() ? std::vector<SystemTime>() : Timing(systems, options).to_end();
}

}  // namespace loopbank
