#pragma once
/// What a study measured: its parts, their systems over all seeds, the paper's findings checked.

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "loopbank/study/paired.h"
#include "loopbank/study/run_result.h"
#include "loopbank/study/systems.h"
#include "loopbank/study/time_plan.h"

namespace loopbank {

/// A score over seeds.
struct ScoreSummary {
  double mean = 0.0;
  std::optional<double> spread;  ///< standard deviation over seeds, with n - 1; none for one seed
  double error = 0.0;            ///< over the questions of one seed: root mean square of the seeds'
  std::vector<double> by_seed;
};

/// One row of the table.
struct SystemRow {
  System system;
  std::vector<RunResult> runs;  ///< one a seed that is done, in the order of the seeds
  std::vector<std::filesystem::path> scores;  ///< their folders of scores
  /// b - a in each column, with this system as b and another one as a: IsoPar, IsoFLOP.
  std::map<std::string, std::map<std::string, PairedScores>> against = {};

  [[nodiscard]] ScoreSummary score(const Column& column) const;
  /// The mean of a figure over the runs.
  [[nodiscard]] double mean(double RunResult::*figure) const;
};

/// A finding of the paper, and whether it came out.
struct Claim {
  int question = 0;  ///< RQ1 to RQ4
  std::string text;
  std::string column;  ///< key
  std::string better;  ///< systems
  std::string worse;
  double ours = 0.0;   ///< relative change of `better` against `worse`
  double paper = 0.0;  ///< likewise
  Difference difference = {};
  std::string verdict;  ///< as in the paper | not as in the paper | too near to tell
};

/// One kind of data: the embedded benchmark, or text of one's own.
struct PartResult {
  std::string name;  ///< benchmark | text
  std::string title;
  std::vector<int64_t> seeds;
  std::vector<Column> columns;
  std::vector<SystemRow> rows;
  std::vector<Claim> claims;
  std::string settings = {};  ///< what all systems share, as TOML
  std::string data = {};      ///< what they were trained on and asked, as JSON

  [[nodiscard]] const SystemRow* find(std::string_view name) const;
  /// How much longer a derived baseline trained than what it matches, relative to that; nothing
  /// where that is not done.
  [[nodiscard]] std::optional<double> seconds_residual(const SystemRow& row) const;
};

struct StudyResult {
  std::string scale;
  std::string title;
  std::string command;  ///< that goes on with the study
  std::string date;     ///< of the last run
  std::string machine;
  int threads = 0;  ///< that computed a system
  bool finished = false;
  std::vector<PartResult> parts;
  std::optional<ChosenSteps> chosen_steps = {};  ///< of a study that is kept to a time
};

/// Folders of scores of the seeds that two systems are both done for, in the same order.
[[nodiscard]] std::pair<std::vector<std::filesystem::path>, std::vector<std::filesystem::path>>
common_seeds(const SystemRow& a, const SystemRow& b);

/// Fills `against` of every row (systems that are done for the same seeds) and `claims`.
void compare_systems(PartResult& part);

/// results.json as docs/formats.md lists it, but for what lies in the runs' own files (curves,
/// inside).
[[nodiscard]] nlohmann::ordered_json to_json(const StudyResult& result);
[[nodiscard]] nlohmann::ordered_json to_json(const PartResult& part);
[[nodiscard]] nlohmann::ordered_json to_json(const PaperScores& scores);

}  // namespace loopbank
