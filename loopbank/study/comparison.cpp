#include "loopbank/study/comparison.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string_view>
#include <utility>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 5> kYardsticks = {"isopar", "isoflop", "isotime", "loop3",
                                                         "loop1"};
/// What memory costs in parameters, spent on width.
constexpr std::string_view kYardstickOfMemory = "isopar-m";

/// A sentence of the paper that compares two systems in bits per byte; of the literature on loops, in
/// accuracy.
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

/// Of tasks of the literature, which the paper has no scores of: a model of k layers that loops is far
/// ahead of one of k layers. That it comes close to one of as many layers as it has loops times layers
/// is left out: equivalence takes a margin, and none is given.
constexpr std::string_view kLoopsSource = "Saunshi et al. 2025";
constexpr std::array<Finding, 2> kLoopsFindings = {{
    {1, "Three loops reason better than the plain transformer of equal size", "loop3", "isopar",
     kReasoning},
    {1, "Seven loops reason better than the plain transformer of equal size", "loop7", "isopar",
     kReasoning},
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
  for (const auto& finding : kLoopsFindings) {
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

/// A score by document, times `scale`.
std::map<std::string, double> scores_of(const StoredTask& task, Measure measure, double scale) {
  std::map<std::string, double> scores;
  for (const auto& document : task.documents) {
    scores[document.id] = scale * score_of(document, measure);
  }
  return scores;
}

/// Whether the same requests were asked in all folders, as far as they tell.
bool same_questions(const std::vector<fs::path>& folders, const std::string& task,
                    ScoreFolders& stored) {
  const auto& first = task_of(stored.at(folders.front()), task);
  return !first.requests_hash.empty() &&
         std::all_of(folders.begin(), folders.end(), [&](const fs::path& folder) {
           return task_of(stored.at(folder), task).requests_hash == first.requests_hash;
         });
}

/// here - there, and the means of both over tasks and seeds.
struct ScoredDifferences {
  std::vector<TaskDifferences> tasks;
  double here = 0.0;
  double there = 0.0;

  /// One seed of the newest task: the documents of `order` in that order.
  /// @param weight  of the seed's mean in those over tasks and seeds
  void add(const StoredResults& of_here, const StoredResults& of_there, const std::string& task,
           Measure measure, const ScoreScales& scales, const std::vector<StoredDocument>& order,
           double weight) {
    const auto own = scores_of(task_of(of_here, task), measure, scales.here);
    const auto others = scores_of(task_of(of_there, task), measure, scales.there);
    const auto score = [&](const auto& scores, const StoredResults& folder, const auto& document) {
      const auto found = scores.find(document.id);
      if (found == scores.end()) {
        fail(ErrorCode::kData, "{}: expected the document {} of {}, got none.",
             folder.directory.string(), document.id, task);
      }
      return found->second;
    };
    auto& differences = tasks.back().by_seed.emplace_back();
    for (const auto& document : order) {
      const double a = score(own, of_here, document);
      const double b = score(others, of_there, document);
      differences.push_back(a - b);
      here += weight * a / static_cast<double>(order.size());
      there += weight * b / static_cast<double>(order.size());
    }
  }
};

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

/// The comparison of two systems that were not paired; nothing where nothing tells how sure it is.
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

/// Adds the claim of a finding where its two systems were compared in a column.
void add_claim(PartResult& part, const Finding& finding, const Column* column,
               std::string_view source) {
  const auto* better = part.find(finding.better);
  const auto* worse = part.find(finding.worse);
  if (better == nullptr || worse == nullptr || column == nullptr) {
    return;
  }
  const auto* compared = part.compared({better->name, worse->name, column->key});
  if (compared == nullptr || compared->estimated) {
    return;
  }
  const auto own = better->paper_score(*column);
  const auto other = worse->paper_score(*column);
  part.claims.push_back({.question = finding.question,
                         .text = std::string(finding.text),
                         .column = column->key,
                         .better = better->name,
                         .worse = worse->name,
                         .ours = compared->relative(),
                         .paper = own && other ? std::optional(*own / *other - 1.0) : std::nullopt,
                         .source = std::string(source)});
}

/// The paper's findings in the columns that it has; those of the literature on loops in a task of
/// theirs, whose systems start anew.
void check_claims(PartResult& part) {
  for (const auto& finding : kFindings) {
    const auto* column = find_column(part.columns, finding.kind, Measure::kBpb);
    if (column != nullptr && !column->paper_key.empty()) {
      add_claim(part, finding, column, "");
    }
  }
  const bool of_paper = std::any_of(part.columns.begin(), part.columns.end(),
                                    [](const Column& column) { return !column.paper_key.empty(); });
  if (!of_paper && part.init.empty()) {
    for (const auto& finding : kLoopsFindings) {
      add_claim(part, finding, find_column(part.columns, finding.kind, Measure::kAccuracy),
                kLoopsSource);
    }
  }
}

/// What earlier runs of the same systems, trained as long, scattered by.
void take_noise(PartResult& part) {
  for (auto& [pair, comparison] : part.comparisons) {
    const auto* system = part.find(pair.system);
    const auto* other = part.find(pair.other);
    const bool as_long = system != nullptr && other != nullptr &&
                         system->steps == part.noise.steps && other->steps == part.noise.steps;
    comparison.earlier_deviation = as_long ? part.noise.deviation(pair) : std::nullopt;
  }
}

/// Judges every comparison by itself and then in its family: A against B and B against A are one test.
void judge_part(PartResult& part) {
  take_noise(part);
  std::map<ComparedPair, std::vector<SystemComparison*>> tests;
  std::set<ComparedPair> claimed;
  const auto test_of = [](const ComparedPair& pair) {
    return ComparedPair{std::min(pair.system, pair.other), std::max(pair.system, pair.other),
                        pair.column};
  };
  for (const auto& claim : part.claims) {
    claimed.insert(test_of({claim.better, claim.worse, claim.column}));
  }
  for (auto& [pair, comparison] : part.comparisons) {
    const auto* column = find_column(part.columns, pair.column);
    judge(comparison, column != nullptr && column->lower_is_better());
    tests[test_of(pair)].push_back(&comparison);
  }
  std::map<std::string, std::vector<std::vector<SystemComparison*>>> families;
  for (auto& [test, comparisons] : tests) {
    families[claimed.contains(test) ? "" : test.column].push_back(std::move(comparisons));
  }
  for (const auto& [name, family] : families) {
    judge_family(family);
  }
}

/// Pairs that have no comparison yet: that of the other way round, or what the scores tell.
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
      const auto* mirrored = part.compared({other.name, system.name, column.key});
      if (mirrored != nullptr && !mirrored->estimated) {
        part.comparisons[pair] = turned_round(*mirrored);
      } else if (auto comparison = estimate(*here, *there)) {
        comparison->num_seeds = std::ssize(common_seeds(system, other));
        part.comparisons[pair] = *comparison;
      }
    }
  }
}

}  // namespace

const StoredResults& ScoreFolders::at(const fs::path& folder) {
  auto found = read_.find(folder);
  if (found == read_.end()) {
    found = read_.emplace(folder, read_results(folder)).first;
  }
  return found->second;
}

SystemComparison compare_runs(const std::vector<fs::path>& here, const std::vector<fs::path>& there,
                              const Column& column, ScoreFolders& folders,
                              const ScoreScales& scales) {
  if (there.size() != here.size() || there.empty()) {
    fail(ErrorCode::kShape, "compare_runs: expected as many runs of both systems, got {} and {}.",
         here.size(), there.size());
  }
  ScoredDifferences scored;
  const double weight = 1.0 / static_cast<double>(there.size() * column.tasks.size());
  for (const auto& task : column.tasks) {
    scored.tasks.push_back({.by_seed = {}, .same_questions = same_questions(there, task, folders)});
    for (size_t i = 0; i < there.size(); ++i) {
      const auto& order = scored.tasks.back().same_questions ? there.front() : there[i];
      scored.add(folders.at(here[i]), folders.at(there[i]), task, column.measure, scales,
                 task_of(folders.at(order), task).documents, weight);
    }
  }
  return compare_seeds(scored.tasks, scored.here, scored.there, column.lower_is_better());
}

void compare_systems(PartResult& part, const std::vector<SystemRuns>& runs) {
  ScoreFolders folders;
  part.comparisons.clear();
  part.claims.clear();
  for (const auto& [i, j] : pairs_of(part)) {
    std::vector<fs::path> here;
    std::vector<fs::path> there;
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
  judge_part(part);
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
    ++entry;
  }
  add_estimates(part);
  std::erase_if(part.claims, [&](const Claim& claim) {
    return !part.comparisons.contains({claim.better, claim.worse, claim.column});
  });
  judge_part(part);
}

}  // namespace loopbank
