#include "loopbank/study/runner.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "loopbank/eval/evaluate.h"
#include "loopbank/eval/json_lines.h"
#include "loopbank/eval/result_files.h"
#include "loopbank/eval/task_files.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/study/plan.h"
#include "loopbank/study/report.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
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

double median(std::vector<double> values) {
  if (values.empty()) {
    return 0.0;
  }
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
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
    for (size_t i = 0; i < chosen_.size(); ++i) {
      const auto& system = chosen_[i];
      const bool was_done = is_done(system);
      if (!was_done) {
        if (stop_asked() || !train_and_score(system)) {
          return {.result = collect(), .finished = false};
        }
        write_results();
      }
      if (options_.on_system) {
        options_.on_system({.result = read_result(system),
                            .number = static_cast<int64_t>(i) + 1,
                            .total = static_cast<int64_t>(chosen_.size()),
                            .was_done = was_done});
      }
    }
    return {.result = collect(), .finished = true};
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
  [[nodiscard]] bool stop_asked() const { return options_.should_stop && options_.should_stop(); }

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
    const auto trained = train(system.run, {.out = folder(system),
                                            .resume = ResumeMode::kResume,
                                            .show_progress = options_.show_progress,
                                            .should_stop = options_.should_stop});
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
    write_results_of(system, report);
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

  void write_results_of(const System& system, const EvalReport& report) const {
    loopbank::write_results(report, folder(system) / "scores");
  }

  /// Every system of the folder that is done, those of earlier calls included.
  [[nodiscard]] StudyResult collect() const {
    StudyResult result{.scale = std::string(name_of(options_.scale)),
                       .seed = options_.seed,
                       .systems = {},
                       .command = options_.command,
                       .settings = shared_settings(),
                       .data = data_.description,
                       .threads = at::get_num_threads()};
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
