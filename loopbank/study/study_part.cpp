#include "loopbank/study/study_part.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "loopbank/eval/evaluate.h"
#include "loopbank/eval/result_files.h"
#include "loopbank/eval/task_files.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/study/comparison.h"
#include "loopbank/study/iso_time.h"
#include "loopbank/study/results_json.h"
#include "loopbank/study/run_exits.h"
#include "loopbank/study/score_points.h"
#include "loopbank/study/study_seeds.h"
#include "loopbank/study/system_thinking.h"
#include "loopbank/support/append_missing.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/folder_lock.h"
#include "loopbank/support/json.h"
#include "loopbank/support/stopwatch.h"
#include "loopbank/train/device.h"
#include "loopbank/train/run_directory.h"
#include "loopbank/train/trainer.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

std::vector<Task> load_study_tasks(const StudyConfig& config, const std::vector<Column>& columns,
                                   const StudyData& data) {
  TaskSource source{.directories = data.tasks};
  if (config.is_text()) {
    source.directories.assign(config.text.tasks.begin(), config.text.tasks.end());
    source.limit = config.text.limit;
    source.shots = config.text.shots;
    source.few_shot_file = config.text.fewshot;
  }
  return load_tasks(tasks_of(columns), source);
}

/// In the number type that it was trained in, as validation is.
EvalOptions scoring_options(const RunConfig& run) {
  EvalOptions options;
  options.compute_dtype = run.training.forward_options().compute_dtype;
  return options;
}

}  // namespace

StudyPart::StudyPart(StudyConfig config, fs::path directory,
                     const std::vector<std::string>& systems, const std::vector<int64_t>& seeds)
    : config_(std::move(config)), directory_(std::move(directory)) {
  if (!seeds.empty()) {
    config_.study.seeds = seeds;
  }
  everyone_ = study_systems(config_);
  columns_ = columns_of(config_);
  seeds_ = seeds_of(everyone_);
  chosen_ = choose_systems(everyone_, systems);
  check_folder();
}

void StudyPart::prepare() {
  for (const auto seed : seeds_of(chosen_)) {
    if (!data_.contains(seed)) {
      prepare_data(seed);
    }
    for (const auto& system : chosen_) {
      if (std::find(system.seeds.begin(), system.seeds.end(), seed) != system.seeds.end()) {
        jobs_.push_back(make_job(system, seed));
      }
    }
  }
}

void StudyPart::check(const StudyConfig& config, const std::vector<std::string>& systems) {
  (void)choose_systems(study_systems(config), systems);
  if (config.is_text()) {
    check_text_folder(config.text.folder);
    (void)load_study_tasks(config, columns_of(config), {});
  }
}

fs::path StudyPart::seed_folder(int64_t seed) const {
  return directory_ / fmt::format("seed-{}", seed);
}

fs::path StudyPart::iso_time_file(const System& system) const {
  return directory_ / "iso-time" / (system.name + ".json");
}

fs::path StudyPart::data_folder(int64_t seed) const {
  return (config_.is_text() ? directory_ : seed_folder(seed)) / "data";
}

StudyDataOptions StudyPart::data_options(int64_t seed) const {
  return {.benchmark = config_.benchmark_of(static_cast<uint64_t>(seed)),
          .synthetic = config_.synthetic_of(static_cast<uint64_t>(seed)),
          .tokenizer = config_.is_retrofit()
                           ? fs::path(config_.run.training.init) / "tokenizer.json"
                           : fs::path(),
          .vocab_size = everyone_.front().run.model.vocab_size};
}

void StudyPart::prepare_data(int64_t seed) {
  const auto folder = data_folder(seed);
  const auto lock = FolderLock::wait_to_hold(folder, ErrorCode::kData);
  data_[seed] =
      config_.is_text()
          ? prepare_text_data(folder, {.folder = config_.text.folder,
                                       .tokenizer = config_.text.tokenizer,
                                       .vocab_size = everyone_.front().run.model.vocab_size})
          : prepare_study_data(folder, data_options(seed));
  tasks_[seed] = load_study_tasks(config_, columns_, data_[seed]);
}

Job StudyPart::make_job(const System& system, int64_t seed) const {
  Job job{.system = system, .seed = seed, .folder = seed_folder(seed) / "systems" / system.name};
  job.system.run.training.seed = seed;
  const auto data = data_.find(seed);
  if (data != data_.end()) {
    job.system.run.data = data->second.files;
  }
  if (const auto time =
          system.is_iso_time() ? read_iso_time(iso_time_file(system)) : std::nullopt) {
    job.system.run.training.steps = time->steps;
  }
  return job;
}

/// A system trained before with other settings or on other data must not stand in one table with
/// these: of this call's seeds, and of those that collect() takes from the folder.
void StudyPart::check_folder() {
  std::set<int64_t> seeds_with_runs;
  for (const auto& system : everyone_) {
    for (const auto seed : seeds_in_folder(system)) {
      if (expect_same_run_as_before(make_job(system, seed))) {
        seeds_with_runs.insert(seed);
      }
    }
  }
  for (const auto seed : seeds_of(chosen_)) {
    seeds_with_runs.erase(seed);
    if (fs::exists(data_folder(seed) / "data.json")) {
      prepare_data(seed);  // takes it as it stands
    }
  }
  if (!config_.is_text()) {
    for (const auto seed : seeds_with_runs) {
      check_study_data(data_folder(seed), data_options(seed));
    }
  }
}

/// Where its data lies is no setting: the folder may have been moved, and what the data is made from
/// is compared.
bool StudyPart::expect_same_run_as_before(const Job& job) const {
  const auto stored = job.folder / "run.toml";
  if (!fs::exists(stored)) {
    return false;
  }
  auto run = job.system.run;
  run.data = load_stored_run(stored).data;
  expect_same_run(stored, run);
  return true;
}

bool StudyPart::is_done(const Job& job) {
  return fs::exists(job.folder / "result.json");
}

RunResult StudyPart::result_of(const Job& job) {
  const auto path = job.folder / "result.json";
  const auto json = read_json_file<nlohmann::ordered_json>(
      path,
      {.expected = "the result of a run", .remedy = "Remove the file to score that run anew."});
  return run_result_from_json(json, path.string());
}

std::optional<RunResult> StudyPart::complete(
    const Job& given, const std::function<void(const StepMetrics&, int64_t)>& on_step,
    const std::function<bool()>& should_stop) {
  if (is_done(given)) {  // by an earlier process; looking within may have been left out
    look_within(given);
    return measure_exits_of(given, should_stop) ? std::optional(result_of(given)) : std::nullopt;
  }
  auto job = given;
  if (job.system.is_iso_time()) {
    const auto& target = target_of(job.system);
    const auto lock =
        FolderLock::wait_to_hold(directory_ / "iso-time", ErrorCode::kData, should_stop);
    const auto time =
        lock ? iso_time_of(iso_time_file(job.system), job.system.run, target.run, should_stop)
             : IsoTime{};
    if (time.steps == 0) {
      return std::nullopt;
    }
    job.system.run.training.steps = time.steps;
  }
  const auto score_step = score_on_the_way(job);
  const auto trained = train(
      job.system.run, {.out = job.folder,
                       .resume = ResumeMode::kResume,
                       .show_progress = false,
                       .should_stop = should_stop,
                       .after_step = [&](const StepMetrics& step, const LanguageModel& model) {
                         on_step(step, job.system.run.training.steps);
                         if (score_step) {
                           score_step(step, model);
                         }
                       }});
  if (!trained.finished) {
    return std::nullopt;
  }
  look_within(job);
  return measure_exits_of(job, should_stop) ? std::optional(score(job, trained)) : std::nullopt;
}

RunConfig StudyPart::run_to_time(const Job& job) const {
  auto run = job.system.is_iso_time() ? target_of(job.system).run : job.system.run;
  run.data = job.system.run.data;
  return run;
}

/// The system that a derived baseline matches.
const System& StudyPart::target_of(const System& baseline) const {
  return *std::find_if(everyone_.begin(), everyone_.end(),
                       [&](const System& other) { return other.name == baseline.match->system; });
}

void StudyPart::look_within(const Job& job) const {
  if (job.seed == job.system.seeds.front()) {
    ensure_inside(job.system.run, job.folder);
  }
  ensure_thinking(job.system.run, tasks_.at(job.seed), job.folder);
}

bool StudyPart::measure_exits_of(const Job& job, const std::function<bool()>& stop) const {
  return !config_.study.exits ||
         ensure_exits(job.system.run, tasks_.at(job.seed), job.folder, stop);
}

std::function<void(const StepMetrics&, const LanguageModel&)> StudyPart::score_on_the_way(
    const Job& job) const {
  const ScorePointSettings settings{.score_points = config_.study.score_points,
                                    .score_point_instances = config_.study.score_point_instances};
  const auto steps = score_steps(job.system.run.training.steps, settings.score_points);
  if (steps.size() < 2) {
    return {};  // the end alone, which is scored on all questions
  }
  const auto tasks = questions_on_the_way(tasks_.at(job.seed), settings.score_point_instances);
  // std::function copies what it holds.
  const auto tokenizer =
      std::make_shared<Tokenizer>(Tokenizer::load(job.system.run.data.tokenizer));
  const auto options = scoring_options(job.system.run);
  return [&job, settings, steps, tasks, tokenizer, options](const StepMetrics& step,
                                                            const LanguageModel& model) {
    if (std::binary_search(steps.begin(), steps.end(), step.step)) {
      const auto report = evaluate(model, *tokenizer, tasks, options);
      add_score_point(job.folder, settings,
                      {.step = step.step,
                       .tokens = static_cast<double>(step.tokens),
                       .tasks = make_run_result(job.system, {}, report, 0.0).tasks});
    }
  };
}

RunResult StudyPart::score(const Job& job, const TrainResult& trained) const {
  const Stopwatch watch;
  const auto& run = job.system.run;
  const auto loaded = load_inference_model(job.folder, choose_device(run.training.device));
  const auto report =
      evaluate(loaded.model, loaded.tokenizer, tasks_.at(job.seed), scoring_options(run));
  write_results(report, job.folder / "scores");
  auto result = make_run_result(job.system, trained, report,
                                median_tokens_per_second(job.folder / "metrics.jsonl"));
  result.evaluation_seconds = watch.seconds();
  write_file_atomically(job.folder / "result.json", to_json(result).dump(2) + "\n");
  return result;
}

PartResult StudyPart::collect() const {
  PartResult result{.name = config_.part_name(),
                    .title = config_.is_text()        ? "Text"
                             : config_.is_synthetic() ? config_.part_name()
                                                      : "Embedded benchmark",
                    .init = config_.run.training.init,
                    .columns = columns_,
                    .systems = {},
                    .comparisons = {},
                    .claims = {},
                    .noise = shipped_noise(config_),
                    .settings = shared_settings(),
                    .data = data_.empty() ? "" : data_.begin()->second.description};
  std::vector<SystemRuns> all;
  std::vector<int64_t> done_seeds;
  for (const auto& system : everyone_) {
    SystemRuns done{.system = system, .runs = {}};
    for (const auto seed : seeds_in_folder(system)) {
      const auto job = make_job(system, seed);
      if (is_done(job)) {
        done.runs.push_back(result_of(job));
        done.score_folders.push_back(job.folder / "scores");
        done_seeds.push_back(seed);
      }
    }
    if (!done.runs.empty()) {
      result.systems.push_back(row_of(done));
      all.push_back(std::move(done));
    }
  }
  result.seeds = in_order_of(seeds_, done_seeds);
  add_seconds_residuals(result);
  compare_systems(result, all);
  return result;
}

/// The system's seeds, and behind them those of the folder that other calls have asked for.
std::vector<int64_t> StudyPart::seeds_in_folder(const System& system) const {
  auto seeds = system.seeds;
  const auto own =
      std::find_if(config_.systems.begin(), config_.systems.end(),
                   [&](const SystemSettings& settings) { return settings.name == system.name; });
  if (own != config_.systems.end() && !own->seeds.values.empty()) {
    return seeds;  // of this system alone
  }
  append_missing(seeds, seeds_under(directory_));
  return seeds;
}

/// A system's row with what the files of its runs tell.
SystemResult StudyPart::row_of(const SystemRuns& done) const {
  auto row = summarize(done, columns_);
  std::vector<RunExitsAt> exits;
  std::vector<RunThinking> thinking;
  auto inside_seed = std::numeric_limits<int64_t>::max();
  for (size_t i = 0; i < done.runs.size(); ++i) {
    const auto& run = done.runs[i];
    const auto folder = done.score_folders[i].parent_path();
    row.curves.push_back(read_training_curve(folder / "metrics.jsonl", run.seed));
    const auto alarms = read_run_alarms(folder / "metrics.jsonl", run.seed);
    row.alarms.insert(row.alarms.end(), alarms.begin(), alarms.end());
    if (was_watched(done.system.run, folder / "metrics.jsonl")) {
      row.watched_seeds.push_back(run.seed);
    }
    if (const auto points = read_score_points(folder); !points.empty()) {
      row.score_curves.push_back(make_score_curve(points, run, columns_));
    }
    // Of several calls each has looked into its own first seed.
    if (auto found = run.seed < inside_seed ? read_inside(folder) : std::nullopt) {
      row.inside = std::move(found);
      inside_seed = run.seed;
    }
    if (auto found = read_exits(folder)) {
      exits.push_back({std::move(*found), folder});
    }
    if (auto found = read_thinking(folder)) {
      thinking.push_back(std::move(*found));
    }
  }
  row.thinking = summarize_thinking(thinking);
  if (!exits.empty()) {
    row.exits = summarize_exits(exits, columns_);
  }
  return row;
}

/// What all systems share: the study file's run, without what the study fills in.
std::string StudyPart::shared_settings() const {
  auto config = config_;
  auto sections = config.sections();
  std::erase_if(sections, [&](const Section& section) {
    return section.name == "data" || section.name == "evaluation" ||
           (section.name == "benchmark" && (config.is_text() || config.is_synthetic())) ||
           (section.name == "synthetic" && !config.is_synthetic()) ||
           (section.name == "text" && !config.is_text());
  });
  return write_toml(sections);
}

}  // namespace loopbank
