#pragma once
/// One part of a study: one kind of data, its systems and seeds, and the folder that they lie in.
///
///     DIR/seed-1/data/            the embedded benchmark or synthetic task of the seed
///                                 (study_data.h); text of one's own is the same for all seeds,
///                                 DIR/data/
///     DIR/seed-1/systems/NAME/    a run directory (train/trainer.h) with scores/, inside.json, of a
///                                 model with loops exits.json and scores-early/ (run_exits.h) and
///                                 thinking.json (system_thinking.h), score_points.json
///                                 (score_points.h), and result.json, the last of
///                                 these written when the run is done
///     DIR/iso-time/NAME.json      the steps of a baseline in equal time

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/eval/task.h"
#include "loopbank/study/results.h"
#include "loopbank/study/study_config.h"
#include "loopbank/study/study_data.h"
#include "loopbank/study/systems.h"

namespace loopbank {

/// One system with one seed.
struct Job {
  System system;  ///< its seed and data files filled in
  int64_t seed = 0;
  std::filesystem::path folder;
};

class StudyPart {
 public:
  /// Checks that all that stands in the folder fits; writes nothing there.
  /// @param systems  names of the systems to make jobs for; empty: all
  /// @param seeds    in place of the config's; empty: those
  /// @throws Error kConfig for an unknown system, and where a run of the folder, of any seed that
  ///         would come into the table, has other settings or data; kData as prepare_study_data
  StudyPart(StudyConfig config, std::filesystem::path directory,
            const std::vector<std::string>& systems, const std::vector<int64_t>& seeds);

  /// Prepares the data of every seed and makes the jobs.
  /// @throws Error kData as prepare_study_data
  void prepare();

  /// Refuses unknown systems, a folder without text and tasks without files before anything is
  /// written.
  static void check(const StudyConfig& config, const std::vector<std::string>& systems);

  /// Seed after seed, the systems of each in the table's order.
  [[nodiscard]] const std::vector<Job>& jobs() const { return jobs_; }
  [[nodiscard]] const StudyConfig& config() const { return config_; }
  [[nodiscard]] const std::vector<Column>& columns() const { return columns_; }
  /// The tasks that the runs of a seed are scored on.
  [[nodiscard]] const std::vector<Task>& tasks(int64_t seed) const { return tasks_.at(seed); }
  /// A run that takes as long as the job: its own, or that of the system whose time it is to take.
  [[nodiscard]] RunConfig run_to_time(const Job& job) const;

  /// Trains and scores a job, or goes on with it; its exits are measured, and the first seed of a
  /// system is looked into as well. Of a job that is done, what an earlier call left out.
  /// @param on_step  called after every training step with the steps of the whole run
  /// @return nothing where it was stopped before its end; what was done is saved
  std::optional<RunResult> complete(
      const Job& job, const std::function<void(const StepMetrics&, int64_t steps)>& on_step,
      const std::function<bool()>& should_stop);

  [[nodiscard]] static bool is_done(const Job& job);
  [[nodiscard]] static RunResult result_of(const Job& job);

  /// Every run of the folder that is done, those of other calls and their seeds included, compared.
  [[nodiscard]] PartResult collect() const;

 private:
  [[nodiscard]] Job make_job(const System& system, int64_t seed) const;
  [[nodiscard]] std::filesystem::path data_folder(int64_t seed) const;
  [[nodiscard]] StudyDataOptions data_options(int64_t seed) const;
  void prepare_data(int64_t seed);
  void check_folder();
  /// False where there is none.
  [[nodiscard]] bool expect_same_run_as_before(const Job& job) const;
  [[nodiscard]] std::filesystem::path seed_folder(int64_t seed) const;
  [[nodiscard]] std::vector<int64_t> seeds_in_folder(const System& system) const;
  [[nodiscard]] SystemResult row_of(const SystemRuns& done) const;
  [[nodiscard]] std::filesystem::path iso_time_file(const System& system) const;
  [[nodiscard]] const System& target_of(const System& baseline) const;
  void look_within(const Job& job) const;
  /// False where it was stopped.
  [[nodiscard]] bool measure_exits_of(const Job& job, const std::function<bool()>& stop) const;
  /// Scores the run at the points of its training; empty where there are none. The job must outlive it.
  [[nodiscard]] std::function<void(const StepMetrics&, const LanguageModel&)> score_on_the_way(
      const Job& job) const;
  [[nodiscard]] RunResult score(const Job& job, const TrainResult& trained) const;
  [[nodiscard]] std::string shared_settings() const;

  StudyConfig config_;
  std::filesystem::path directory_;
  std::vector<System> everyone_;
  std::vector<System> chosen_;  // of these
  std::vector<int64_t> seeds_;  // of all systems together
  std::vector<Column> columns_;
  std::map<int64_t, StudyData> data_;           // by seed
  std::map<int64_t, std::vector<Task>> tasks_;  // likewise
  std::vector<Job> jobs_;
};

}  // namespace loopbank
