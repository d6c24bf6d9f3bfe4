#include "loopbank/study/runner.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "loopbank/eval/evaluate.h"
#include "loopbank/eval/json_lines.h"
#include "loopbank/eval/result_files.h"
#include "loopbank/eval/task_files.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/study/plan.h"
#include "loopbank/study/report.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/statistics.h"
#include "loopbank/train/device.h"
#include "loopbank/train/run_directory.h"
#include "loopbank/train/trainer.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

/// The small preset has GPT-2's vocabulary for real text; the benchmark's text fills 1024 tokens.
constexpr const char* kSmallVocabulary = "model.vocab_size=1024";

std::vector<std::string> all_overrides(const StudyOptions& options) {
  std::vector<std::string> all = {fmt::format("training.seed={}", options.seed)};
  if (options.scale == Scale::kSmall) {
    all.emplace_back(kSmallVocabulary);
  }
  for (const auto& item : options.overrides) {
    if (item.starts_with("data.")) {
      fail(ErrorCode::kConfig,
           "study: expected --set of what the systems share, got \"{}\". A study makes its own "
           "data; use loopbank train for data of your own.",
           item);
    }
    all.push_back(item);
  }
  return all;
}

/// Over all steps of a run, however often it was interrupted.
double median_tokens_per_second(const fs::path& metrics) {
  std::vector<double> speeds;
  for_each_json_line(metrics, [&](const nlohmann::json& row, const std::string&) {
    if (row.contains("tokens_per_second")) {
      speeds.push_back(row["tokens_per_second"].get<double>());
    }
    return true;
  });
  return median(std::move(speeds));
}

class Study {
 public:
  explicit Study(const StudyOptions& options)
      : options_(options),
        everyone_(everyone(options)),
        chosen_(systems_of_study(options)),
        lock_(options.out),
        data_(prepare_study_data(
            options.out / "data",
            {.benchmark = options.benchmark.value_or(study_benchmark(options.scale, options.seed)),
             .vocab_size = everyone_.front().run.model.vocab_size})),
        tasks_(load_tasks({kFactsTask, kReasoningTask},
                          {.directories = {data_.tasks}, .few_shot_file = {}})) {
    for (auto* systems : {&everyone_, &chosen_}) {
      for (auto& system : *systems) {
        system.run.data = data_.files;
      }
    }
  }

  StudyOutcome to_end() {
    for (const auto& system : everyone_) {
      expect_same_system(system);
    }
    write_results();
    if (at_once_ == 1) {
      work(threads_of_a_system_);
    } else {
      std::vector<std::thread> workers;
      for (size_t i = 0; i < std::min(chosen_.size(), static_cast<size_t>(at_once_)); ++i) {
        workers.emplace_back([this] { work(threads_of_a_system_); });
      }
      for (auto& worker : workers) {
        worker.join();
      }
    }
    if (failure_) {
      std::rethrow_exception(failure_);
    }
    return {.result = collect(), .finished = !stopped_};
  }

 private:
  static std::vector<System> everyone(const StudyOptions& options) {
    auto all = options;
    all.systems.clear();
    return systems_of_study(all);
  }

  [[nodiscard]] fs::path folder(const System& system) const {
    return options_.out / "systems" / system.name;
  }
  [[nodiscard]] fs::path result_file(const System& system) const {
    return folder(system) / "result.json";
  }
  [[nodiscard]] bool is_done(const System& system) const { return fs::exists(result_file(system)); }
  /// Asked by every worker: one that failed or was stopped stops the others.
  [[nodiscard]] bool stop_asked() const {
    return stopped_ || (options_.should_stop && options_.should_stop());
  }

  /// Takes system after system until none is left; of these threads there are several.
  void work(int threads) {
    at::set_num_threads(threads);  // of this thread; the number is its own
    try {
      for (size_t i = next_++; i < chosen_.size(); i = next_++) {
        if (!complete(chosen_[i])) {
          stopped_ = true;
          return;
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      failure_ = failure_ ? failure_ : std::current_exception();
    }
  }

  /// False where the study was stopped before the system was done.
  bool complete(const System& system) {
    const bool was_done = is_done(system);
    if (!was_done && (stop_asked() || !train_and_score(system))) {
      return false;
    }
    const std::lock_guard lock(mutex_);
    if (!was_done) {
      write_results();
    }
    ++num_done_;
    if (options_.on_system) {
      options_.on_system({.result = read_result(system),
                          .number = num_done_,
                          .total = static_cast<int64_t>(chosen_.size()),
                          .was_done = was_done});
    }
    return true;
  }

  /// Systems in work at the same time, at most one a thread. How many are asked for makes no
  /// difference: a system has the same share of the threads, and so the same weights, alone.
  [[nodiscard]] int64_t choose_at_once() const {
    const int64_t threads = at::get_num_threads();
    const int64_t usual = options_.scale == Scale::kDemo ? threads : 1;
    const int64_t wanted = options_.at_once > 0 ? options_.at_once : usual;
    return std::max<int64_t>(1, std::min(wanted, threads));
  }

  /// A system trained before with other settings must not stand in one table with these. Where its
  /// data lies is no such setting: the folder may have been moved, and what the data is made from
  /// has been compared.
  void expect_same_system(const System& system) const {
    const auto stored = folder(system) / "run.toml";
    if (fs::exists(stored)) {
      auto run = system.run;
      run.data = load_run_config(stored).data;
      expect_same_run(stored, run);
    }
  }

  [[nodiscard]] SystemResult read_result(const System& system) const {
    const auto path = result_file(system);
    const auto json = nlohmann::json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
    return system_result_from_json(json, path.string());
  }

  /// False where it was stopped before the last step; the checkpoint is saved then.
  bool train_and_score(const System& system) {
    const auto trained =
        train(system.run, {.out = folder(system),
                           .resume = ResumeMode::kResume,
                           .show_progress = options_.show_progress && at_once_ == 1,
                           .should_stop = [this] { return stop_asked(); }});
    if (!trained.finished) {
      return false;
    }
    const auto result = score(system, trained);
    write_file_atomically(result_file(system), to_json(result).dump(2) + "\n");
    return true;
  }

  [[nodiscard]] SystemResult score(const System& system, const TrainResult& trained) const {
    const auto begin = std::chrono::steady_clock::now();
    const auto loaded =
        load_inference_model(folder(system), choose_device(system.run.training.device));
    // In the number type that it was trained in, as validation is.
    const bool is_bf16 = system.run.training.precision == "bf16";
    const auto report = evaluate(loaded.model, loaded.tokenizer, tasks_,
                                 {.max_loops = {},
                                  .compute_dtype = is_bf16 ? at::kBFloat16 : at::kFloat,
                                  .on_progress = {}});
    loopbank::write_results(report, folder(system) / "scores");
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;

    const auto plan = make_plan(system.run);
    const auto& facts = report.results.at(0);
    const auto& reasoning = report.results.at(1);
    SystemResult result;
    result.name = system.name;
    result.label = system.label;
    result.paper = system.paper;
    result.parameters = plan.cost.parameters.total();
    result.forward_flops = plan.cost.forward_flops.total();
    result.training_flops = plan.cost.training_flops;
    result.facts_accuracy = facts.value.mean;
    result.facts_bpb = facts.bpb.mean;
    result.facts_instances = static_cast<int64_t>(facts.instances.size());
    result.reasoning_accuracy = reasoning.value.mean;
    result.reasoning_bpb = reasoning.bpb.mean;
    result.reasoning_instances = static_cast<int64_t>(reasoning.instances.size());
    result.errors = {.facts_accuracy = facts.value.standard_error,
                     .facts_bpb = facts.bpb.standard_error,
                     .reasoning_accuracy = reasoning.value.standard_error,
                     .reasoning_bpb = reasoning.bpb.standard_error};
    result.mean_loops = (facts.mean_loops + reasoning.mean_loops) / 2;
    result.validation_loss = trained.validation_loss;
    result.tokens_per_second = median_tokens_per_second(folder(system) / "metrics.jsonl");
    result.steps = trained.steps;
    result.tokens = plan.tokens;
    result.seconds = trained.train_seconds;
    result.evaluation_seconds = time.count();
    if (system.baseline) {
      result.residuals = {.parameters = system.baseline->parameters.residual(),
                          .forward_flops = system.baseline->forward_flops.residual()};
    }
    return result;
  }

  /// Every system of the folder that is done, those of earlier calls included.
  [[nodiscard]] StudyResult collect() const {
    StudyResult result{.scale = std::string(name_of(options_.scale)),
                       .seed = options_.seed,
                       .systems = {},
                       .command = options_.command,
                       .settings = shared_settings(),
                       .data = data_.description,
                       .threads = threads_of_a_system_};
    for (const auto& system : everyone_) {
      if (is_done(system)) {
        result.systems.push_back(read_result(system));
      }
    }
    return result;
  }

  /// The run of the first system, IsoPar, without its data files: the base of all others.
  [[nodiscard]] std::string shared_settings() const {
    auto run = everyone_.front().run;
    auto sections = run.sections();
    std::erase_if(sections, [](const Section& section) { return section.name == "data"; });
    return write_toml(sections);
  }

  void write_results() const {
    const auto result = collect();
    write_file_atomically(options_.out / "results.json", to_json(result).dump(2) + "\n");
    write_file_atomically(options_.out / "report.html", make_report(result));
  }

  const StudyOptions& options_;
  std::vector<System> everyone_;
  std::vector<System> chosen_;
  RunLock lock_;
  StudyData data_;
  std::vector<Task> tasks_;
  int64_t at_once_ = choose_at_once();
  int threads_of_a_system_ = at::get_num_threads() / static_cast<int>(at_once_);
  std::atomic<size_t> next_ = 0;  // of chosen_
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;  // of what follows, results.json and on_system
  int64_t num_done_ = 0;
  std::exception_ptr failure_;
};

}  // namespace

std::vector<System> systems_of_study(const StudyOptions& options) {
  return choose_systems(study_systems(options.scale, all_overrides(options)), options.systems);
}

StudyOutcome run_study(const StudyOptions& options) {
  if (options.scale == Scale::kPaper) {
    fail(ErrorCode::kConfig,
         "study: expected a scale that one machine can train, demo or small, got paper. See what "
         "it takes with --scale paper --dry-run.");
  }
  return Study(options).to_end();
}

}  // namespace loopbank
