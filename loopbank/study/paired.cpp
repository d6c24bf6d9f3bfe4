#include "loopbank/study/paired.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>

#include "loopbank/eval/metrics.h"
#include "loopbank/support/error.h"
#include "loopbank/support/random.h"

namespace loopbank {
namespace {

constexpr int64_t kResamples = 1000;
constexpr double kConfidence = 0.95;

const StoredTask& task_of(const StoredResults& results, const std::string& name) {
  const auto found = std::find_if(results.tasks.begin(), results.tasks.end(),
                                  [&](const StoredTask& task) { return task.task == name; });
  if (found == results.tasks.end()) {
    fail(ErrorCode::kData,
         "{}: expected scores of {}, got none. Remove the run's result.json to "
         "score it anew.",
         results.directory.string(), name);
  }
  return *found;
}

/// Scores of the same documents, those of A in its order.
Resampled resample_task(const StoredResults& a, const StoredResults& b, const std::string& task,
                        bool is_bpb, uint64_t seed) {
  const auto score = is_bpb ? &StoredDocument::bpb : &StoredDocument::value;
  std::map<std::string, double> of_b;
  for (const auto& document : task_of(b, task).documents) {
    of_b[document.id] = document.*score;
  }
  std::vector<double> in_a;
  std::vector<double> in_b;
  for (const auto& document : task_of(a, task).documents) {
    const auto found = of_b.find(document.id);
    if (found == of_b.end()) {
      fail(ErrorCode::kData, "{}: expected the document {} of {}, got none.", b.directory.string(),
           document.id, task);
    }
    in_a.push_back(document.*score);
    in_b.push_back(found->second);
  }
  return resample_pairs(in_a, in_b, seed, kResamples);
}

}  // namespace

std::optional<Difference> difference_over_seeds(const std::vector<double>& differences) {
  if (differences.size() < 2) {
    return std::nullopt;
  }
  const auto [mean, error] = estimate_mean(differences);
  if (error == 0.0) {
    return Difference{.difference = mean, .low = mean, .high = mean, .p = mean == 0.0 ? 1.0 : 0.0};
  }
  const boost::math::students_t t(static_cast<double>(differences.size()) - 1);
  const double half = boost::math::quantile(t, 0.5 + kConfidence / 2) * error;
  return Difference{.difference = mean,
                    .low = mean - half,
                    .high = mean + half,
                    .p = 2 * boost::math::cdf(boost::math::complement(t, std::abs(mean) / error))};
}

const Difference& PairedScores::decisive() const {
  return seeds ? *seeds : questions;
}

const StoredResults& ScoreFolders::at(const std::filesystem::path& folder) {
  auto found = read_.find(folder);
  if (found == read_.end()) {
    found = read_.emplace(folder, read_results(folder)).first;
  }
  return found->second;
}

PairedScores compare_runs(const std::vector<std::filesystem::path>& a,
                          const std::vector<std::filesystem::path>& b, const Column& column,
                          ScoreFolders& folders) {
  if (a.size() != b.size() || a.empty()) {
    fail(ErrorCode::kShape, "compare_runs: expected as many runs of both systems, got {} and {}.",
         a.size(), b.size());
  }
  std::vector<Resampled> all;
  std::vector<double> by_seed;
  for (size_t i = 0; i < a.size(); ++i) {
    std::vector<Resampled> tasks;
    for (const auto& task : column.tasks) {
      tasks.push_back(resample_task(folders.at(a[i]), folders.at(b[i]), task, column.is_bpb,
                                    derive_seed(i, task)));
    }
    const auto mean = mean_of(tasks);
    by_seed.push_back(mean.b - mean.a);
    all.push_back(mean);
  }
  const auto questions = describe_difference(mean_of(all));
  return {.questions = {.difference = questions.difference,
                        .low = questions.low,
                        .high = questions.high,
                        .p = questions.p},
          .seeds = difference_over_seeds(by_seed),
          .mean_a = questions.a,
          .mean_b = questions.b};
}

}  // namespace loopbank
