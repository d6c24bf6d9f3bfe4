#include "loopbank/study/comparison.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string_view>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/random.h"

namespace loopbank {
namespace {

constexpr int64_t kResamples = 1000;
constexpr std::array<std::string_view, 5> kYardsticks = {"isopar", "isoflop", "isotime", "loop3",
                                                         "loop1"};
/// What memory costs in parameters, spent on width.
constexpr std::string_view kYardstickOfMemory = "isopar-m";

/// A sentence of the paper that compares two systems in bits per byte.
struct Finding {
  int question;
  std::string_view text;
  std::string_view better;
  std::string_view worse;
  std::string_view kind;  ///< of the column
};

constexpr std::string_view kReasoning = "reasoning";
constexpr std::string_view kKnowledge = "knowledge";

constexpr std::array<Finding, 11> kFindings = {{
    {1, "Three loops reason better than the plain transformer", "loop3", "isopar", kReasoning},
    {1, "Seven loops reason better than the plain transformer", "loop7", "isopar", kReasoning},
    {1, "Three loops reason better than the deeper transformer of equal FLOPs", "loop3", "isoflop",
     kReasoning},
    {2, "The deeper transformer of equal FLOPs knows more than loops", "isoflop", "loop3",
     kKnowledge},
    {2, "Memory with open gates gives loops more knowledge", "mem-g3", "loop3", kKnowledge},
    {2, "Memory with open gates knows more than the wider transformer", "mem-g3", "isopar-m",
     kKnowledge},
    {2, "The deeper transformer still knows more than memory", "isoflop", "mem-g3", kKnowledge},
    {3, "Memory on top of loops reasons better still", "mem-g3", "loop3", kReasoning},
    {3, "Memory and loops reason better than the plain transformer", "mem-g3", "isopar",
     kReasoning},
    {3, "Memory and loops reason better than the deep wide transformer", "mem-g3", "isoflop-m",
     kReasoning},
    {3, "Gates that start open serve memory better than closed ones", "mem-g3", "mem-gm3",
     kKnowledge},
}};

/// Every two systems of the part that are compared, by their places in it.
std::set<std::pair<size_t, size_t>> pairs_of(const PartResult& part) {
  const auto place = [&](std::string_view name) {
    const auto found = std::find_if(part.systems.begin(), part.systems.end(),
                                    [&](const SystemResult& row) { return row.name == name; });
    return static_cast<size_t>(found - part.systems.begin());
  };
  std::set<std::pair<size_t, size_t>> pairs;
  const auto add = [&](size_t system, size_t other) {
    if (system != other && system < part.systems.size() && other < part.systems.size()) {
      pairs.insert({system, other});
    }
  };
  for (size_t i = 0; i < part.systems.size(); ++i) {
    for (const auto name : kYardsticks) {
      add(i, place(name));
    }
    if (part.systems[i].family == "memory") {
      add(i, place(kYardstickOfMemory));
    }
  }
  for (const auto& finding : kFindings) {
    add(place(finding.better), place(finding.worse));
  }
  return pairs;
}

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

double score_of(const StoredDocument& document, Measure measure) {
  return measure == Measure::kBitsAParameter ? document.known_bits.value_or(0.0)
         : measure == Measure::kBpb          ? document.bpb
                                             : document.value;
}

/// Scores of the same documents, those of A in its order; A is `there`.
Resampled resample_task(const StoredResults& a, const StoredResults& b, const std::string& task,
                        Measure measure, const ScoreScales& scales, uint64_t seed) {
  std::map<std::string, double> of_b;
  for (const auto& document : task_of(b, task).documents) {
    of_b[document.id] = scales.here * score_of(document, measure);
  }
  std::vector<double> in_a;
  std::vector<double> in_b;
  for (const auto& document : task_of(a, task).documents) {
    const auto found = of_b.find(document.id);
    if (found == of_b.end()) {
      fail(ErrorCode::kData, "{}: expected the document {} of {}, got none.", b.directory.string(),
           document.id, task);
    }
    in_a.push_back(scales.there * score_of(document, measure));
    in_b.push_back(found->second);
  }
  return resample_pairs(in_a, in_b, seed, kResamples);
}

/// The places in the seeds of both of those that both have.
std::vector<std::pair<size_t, size_t>> common_seeds(const SystemResult& a, const SystemResult& b) {
  std::vector<std::pair<size_t, size_t>> places;
  for (size_t i = 0; i < a.seeds.size(); ++i) {
    const auto found = std::find(b.seeds.begin(), b.seeds.end(), a.seeds[i]);
    if (found != b.seeds.end()) {
      places.emplace_back(i, static_cast<size_t>(found - b.seeds.begin()));
    }
  }
  return places;
}

/// The comparison of two systems without a common seed; nothing where nothing tells how sure it is.
std::optional<SystemComparison> estimate(const ScoreSummary& here, const ScoreSummary& there) {
  if (!here.error || !there.error) {
    return std::nullopt;
  }
  const std::array<double, 2> errors = {*here.error, *there.error};
  return SystemComparison{.here = here.mean,
                          .there = there.mean,
                          .questions = normal_difference(here.mean - there.mean, errors),
                          .estimated = true};
}

/// The mean scores of both over their common seeds, and how many these are; over all where each
/// seed's are not known.
void take_scores(SystemComparison& comparison, const SystemResult& system,
                 const SystemResult& other, const std::string& column) {
  const auto& here = system.scores.at(column);
  const auto& there = other.scores.at(column);
  const auto common = common_seeds(system, other);
  const bool all = common.size() == system.seeds.size() && common.size() == other.seeds.size();
  const bool known = here.by_seed.size() == system.seeds.size() &&
                     there.by_seed.size() == other.seeds.size() && !common.empty();
  std::vector<double> own;
  std::vector<double> others;
  for (const auto& [i, j] : common) {
    own.push_back(known ? here.by_seed[i] : here.mean);
    others.push_back(known ? there.by_seed[j] : there.mean);
  }
  comparison.here = all || !known ? here.mean : mean_of(own);
  comparison.there = all || !known ? there.mean : mean_of(others);
  comparison.num_seeds = std::ssize(common);
}

void check_claims(PartResult& part) {
  for (const auto& finding : kFindings) {
    const auto* better = part.find(finding.better);
    const auto* worse = part.find(finding.worse);
    const auto* column = find_column(part.columns, finding.kind, Measure::kBpb);
    if (better == nullptr || worse == nullptr || column == nullptr || column->paper_key.empty() ||
        better->paper.empty() || worse->paper.empty()) {
      continue;
    }
    const auto* compared = part.compared({better->name, worse->name, column->key});
    if (compared == nullptr || compared->estimated) {
      continue;
    }
    const double there = worse->paper.at(column->paper_key);
    part.claims.push_back({.question = finding.question,
                           .text = std::string(finding.text),
                           .column = column->key,
                           .better = better->name,
                           .worse = worse->name,
                           .ours = compared->here / compared->there - 1.0,
                           .paper = better->paper.at(column->paper_key) / there - 1.0});
  }
}

/// Pairs that have no comparison yet and whose scores tell how sure they are.
void add_estimates(PartResult& part) {
  for (const auto& [i, j] : pairs_of(part)) {
    const auto& system = part.systems[i];
    const auto& other = part.systems[j];
    for (const auto& column : part.columns) {
      const auto* here = system.score(column);
      const auto* there = other.score(column);
      const ComparedPair pair{system.name, other.name, column.key};
      if (here == nullptr || there == nullptr || part.compared(pair) != nullptr) {
        continue;
      }
      if (auto comparison = estimate(*here, *there)) {
        judge(*comparison, column.lower_is_better());
        part.comparisons[pair] = *comparison;
      }
    }
  }
}

}  // namespace

const StoredResults& ScoreFolders::at(const std::filesystem::path& folder) {
  auto found = read_.find(folder);
  if (found == read_.end()) {
    found = read_.emplace(folder, read_results(folder)).first;
  }
  return found->second;
}

SystemComparison compare_runs(const std::vector<std::filesystem::path>& here,
                              const std::vector<std::filesystem::path>& there, const Column& column,
                              ScoreFolders& folders, const ScoreScales& scales) {
  if (there.size() != here.size() || there.empty()) {
    fail(ErrorCode::kShape, "compare_runs: expected as many runs of both systems, got {} and {}.",
         here.size(), there.size());
  }
  std::vector<Resampled> seeds;
  for (size_t i = 0; i < there.size(); ++i) {
    std::vector<Resampled> tasks;
    for (const auto& task : column.tasks) {
      tasks.push_back(resample_task(folders.at(there[i]), folders.at(here[i]), task, column.measure,
                                    scales, derive_seed(i, task)));
    }
    seeds.push_back(mean_of(tasks));
  }
  return compare_seeds(seeds, column.lower_is_better());
}

void compare_systems(PartResult& part, const std::vector<SystemRuns>& runs) {
  ScoreFolders folders;
  part.comparisons.clear();
  part.claims.clear();
  for (const auto& [i, j] : pairs_of(part)) {
    std::vector<std::filesystem::path> here;
    std::vector<std::filesystem::path> there;
    for (const auto& [own, others] : common_seeds(part.systems[i], part.systems[j])) {
      here.push_back(runs[i].score_folders.at(own));
      there.push_back(runs[j].score_folders.at(others));
    }
    for (const auto& column : part.columns) {
      if (!here.empty()) {
        part.comparisons[{part.systems[i].name, part.systems[j].name, column.key}] =
            compare_runs(here, there, column, folders,
                         {.here = column.scale(part.systems[i].parameters),
                          .there = column.scale(part.systems[j].parameters)});
      }
    }
  }
  add_estimates(part);
  check_claims(part);
}

void complete_comparisons(PartResult& part) {
  for (auto entry = part.comparisons.begin(); entry != part.comparisons.end();) {
    auto& [pair, comparison] = *entry;
    const auto* system = part.find(pair.system);
    const auto* other = part.find(pair.other);
    const auto* column = find_column(part.columns, pair.column);
    if (system == nullptr || other == nullptr || column == nullptr ||
        !system->scores.contains(pair.column) || !other->scores.contains(pair.column)) {
      entry = part.comparisons.erase(entry);
      continue;
    }
    take_scores(comparison, *system, *other, pair.column);
    judge(comparison, column->lower_is_better());
    ++entry;
  }
  add_estimates(part);
  std::erase_if(part.claims, [&](const Claim& claim) {
    return !part.comparisons.contains({claim.better, claim.worse, claim.column});
  });
}

}  // namespace loopbank
