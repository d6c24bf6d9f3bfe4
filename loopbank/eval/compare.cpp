#include "loopbank/eval/compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "loopbank/eval/stored_results.h"
#include "loopbank/support/error.h"
#include "loopbank/support/random.h"

namespace loopbank {
namespace {

/// Whether two fingerprints of prompts may belong to the same ones: those of different kinds, or
/// where there is none, say nothing.
bool may_be_the_same(const std::string& a, const std::string& b) {
  const auto kind = [](const std::string& hash) { return hash.substr(0, hash.find(':') + 1); };
  return a.empty() || b.empty() || kind(a) != kind(b) || a == b;
}

using Json = nlohmann::ordered_json;

constexpr size_t kIdsInAMessage = 3;

std::vector<const StoredTask*> tasks_named(const StoredResults& results, const std::string& name) {
  std::vector<const StoredTask*> found;
  for (const auto& task : results.tasks) {
    if (task.task == name) {
      found.push_back(&task);
    }
  }
  return found;
}

std::string names_of(const StoredResults& results) {
  std::set<std::string> names;
  for (const auto& task : results.tasks) {
    names.insert(task.task);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

using TaskPair = std::pair<const StoredTask*, const StoredTask*>;

/// One task of A with its partner in B; the loop budget counts only where either has several.
std::vector<TaskPair> pairs_of(const StoredResults& a, const StoredResults& b) {
  std::vector<TaskPair> pairs;
  for (const auto& task : a.tasks) {
    const auto in_a = tasks_named(a, task.task);
    const auto in_b = tasks_named(b, task.task);
    if (in_a.size() == 1 && in_b.size() == 1) {
      pairs.emplace_back(&task, in_b.front());
      continue;
    }
    for (const auto* partner : in_b) {
      if (partner->max_loops == task.max_loops) {
        pairs.emplace_back(&task, partner);
      }
    }
  }
  if (pairs.empty()) {
    fail(ErrorCode::kData,
         "compare: expected a task that both folders hold (at one loop budget, where they hold "
         "several), got {} in {} and {} in {}.",
         names_of(a), a.directory.string(), names_of(b), b.directory.string());
  }
  return pairs;
}

/// The ids of `left` that `right` has not.
std::vector<std::string> missing(const StoredTask& left, const StoredTask& right) {
  std::set<std::string> ids;
  for (const auto& document : right.documents) {
    ids.insert(document.id);
  }
  std::vector<std::string> result;
  for (const auto& document : left.documents) {
    if (!ids.contains(document.id)) {
      result.push_back(document.id);
    }
  }
  return result;
}

void expect_same_documents(const StoredTask& a, const StoredTask& b, const StoredResults& in_a,
                           const StoredResults& in_b) {
  if (a.metric != b.metric) {
    fail(ErrorCode::kData, "compare: {}: expected the same metric in both folders, got {} and {}.",
         a.task, a.metric, b.metric);
  }
  const auto refuse = [&](std::vector<std::string> ids, const StoredResults& where) {
    if (!ids.empty()) {
      const auto count = ids.size();
      ids.resize(std::min(count, kIdsInAMessage));
      fail(ErrorCode::kData,
           "compare: {}: expected the same documents in both folders, got {} and {}; {} of them "
           "missing in {}: {}{}. Score both with the same --limit and data.",
           a.task, a.documents.size(), b.documents.size(), count, where.directory.string(),
           fmt::join(ids, ", "), count > kIdsInAMessage ? ", ..." : "");
    }
  };
  refuse(missing(a, b), in_b);
  refuse(missing(b, a), in_a);
}

/// Scores of the same documents, in the order of A.
struct PairedScores {
  std::vector<double> a;
  std::vector<double> b;
};

PairedScores pair_scores(const StoredTask& a, const StoredTask& b, double StoredDocument::*score) {
  std::map<std::string, double> of_b;
  for (const auto& document : b.documents) {
    of_b[document.id] = document.*score;
  }
  PairedScores scores;
  for (const auto& document : a.documents) {
    scores.a.push_back(document.*score);
    scores.b.push_back(of_b.at(document.id));
  }
  return scores;
}

/// A task's comparison with what its suites need.
struct Compared {
  TaskComparison task;
  Resampled value;
  Resampled bpb;
};

Compared compare_task(const StoredTask& a, const StoredTask& b, const CompareOptions& options) {
  // A stream a task: what else is compared does not matter.
  const auto seed = derive_seed(options.seed, a.task);
  const auto resampled = [&](double StoredDocument::*score) {
    const auto scores = pair_scores(a, b, score);
    return resample_pairs(scores.a, scores.b, seed, options.resamples);
  };
  Compared result{.task = {.task = a.task,
                           .metric = a.metric,
                           .instances = static_cast<int64_t>(a.documents.size()),
                           .max_loops_a = a.max_loops,
                           .max_loops_b = b.max_loops,
                           .value = {},
                           .bpb = {},
                           .same_requests = may_be_the_same(a.requests_hash, b.requests_hash)},
                  .value = resampled(&StoredDocument::value),
                  .bpb = resampled(&StoredDocument::bpb)};
  result.task.value = describe_difference(result.value);
  result.task.bpb = describe_difference(result.bpb);
  return result;
}

/// The suite where all its tasks were compared at one pair of budgets, as often as that is so.
void add_suite(const StoredSuite& suite, const std::vector<Compared>& compared,
               std::vector<SuiteComparison>& suites) {
  std::map<std::pair<int64_t, int64_t>, std::vector<const Compared*>> by_budgets;
  for (const auto& item : compared) {
    const bool is_member =
        std::find(suite.tasks.begin(), suite.tasks.end(), item.task.task) != suite.tasks.end();
    if (is_member && item.task.max_loops_a == suite.max_loops) {
      by_budgets[{item.task.max_loops_a, item.task.max_loops_b}].push_back(&item);
    }
  }
  for (const auto& [budgets, members] : by_budgets) {
    if (members.size() != suite.tasks.size()) {
      continue;
    }
    std::vector<Resampled> values;
    std::vector<Resampled> bpbs;
    for (const auto* member : members) {
      values.push_back(member->value);
      bpbs.push_back(member->bpb);
    }
    suites.push_back({.suite = suite.suite,
                      .max_loops_a = budgets.first,
                      .max_loops_b = budgets.second,
                      .value = describe_difference(mean_of(values)),
                      .bpb = describe_difference(mean_of(bpbs))});
  }
}

Json difference_json(const PairedDifference& item) {
  return {{"a", item.a},     {"b", item.b},       {"difference", item.difference},
          {"low", item.low}, {"high", item.high}, {"p", item.p}};
}

std::string line(const std::string& name, const std::string& metric, const std::string& instances,
                 const PairedDifference& item) {
  return fmt::format(
      "{:<28} {:<18} {:>9} {:>8.4f} {:>8.4f} {:>+10.4f}  [{:+.4f}, {:+.4f}] {:>8.4f}\n", name,
      metric, instances, item.a, item.b, item.difference, item.low, item.high, item.p);
}

/// The name with the budgets, where they differ or others stand beside them.
std::string with_budgets(const std::string& name, int64_t a, int64_t b, bool always) {
  if (a == b) {
    return always && a > 0 ? fmt::format("{} N={}", name, a) : name;
  }
  return fmt::format("{} N={}/{}", name, a, b);
}

}  // namespace

Comparison compare_results(const std::filesystem::path& a, const std::filesystem::path& b,
                           const CompareOptions& options) {
  if (options.resamples < 1) {
    fail(ErrorCode::kConfig, "compare: expected 1 resample or more, got {}.", options.resamples);
  }
  const auto in_a = read_results(a);
  const auto in_b = read_results(b);
  std::vector<Compared> compared;
  for (const auto& [left, right] : pairs_of(in_a, in_b)) {
    expect_same_documents(*left, *right, in_a, in_b);
    compared.push_back(compare_task(*left, *right, options));
  }
  Comparison result{
      .a = a.string(), .b = b.string(), .options = options, .tasks = {}, .suites = {}};
  for (const auto& item : compared) {
    result.tasks.push_back(item.task);
  }
  for (const auto& suite : in_a.suites) {
    add_suite(suite, compared, result.suites);
  }
  return result;
}

Json to_json(const Comparison& comparison) {
  Json json = {{"a", comparison.a},
               {"b", comparison.b},
               {"seed", comparison.options.seed},
               {"resamples", comparison.options.resamples},
               {"results", Json::array()},
               {"suites", Json::array()}};
  for (const auto& task : comparison.tasks) {
    json["results"].push_back({{"task", task.task},
                               {"metric", task.metric},
                               {"instances", task.instances},
                               {"max_loops_a", task.max_loops_a},
                               {"max_loops_b", task.max_loops_b},
                               {"same_requests", task.same_requests},
                               {"value", difference_json(task.value)},
                               {"bpb", difference_json(task.bpb)}});
  }
  for (const auto& suite : comparison.suites) {
    json["suites"].push_back({{"suite", suite.suite},
                              {"max_loops_a", suite.max_loops_a},
                              {"max_loops_b", suite.max_loops_b},
                              {"value", difference_json(suite.value)},
                              {"bpb", difference_json(suite.bpb)}});
  }
  return json;
}

std::string describe(const Comparison& comparison) {
  auto text = fmt::format("A {}\nB {}\n{:<28} {:<18} {:>9} {:>8} {:>8} {:>10}  {:<18} {:>8}\n",
                          comparison.a, comparison.b, "task", "metric", "instances", "A", "B",
                          "B - A", "95 % interval", "p");
  std::set<int64_t> budgets;
  for (const auto& task : comparison.tasks) {
    budgets.insert(task.max_loops_a);
  }
  const bool always = budgets.size() > 1;
  for (const auto& task : comparison.tasks) {
    const auto name = with_budgets(task.task, task.max_loops_a, task.max_loops_b, always);
    text += line(name, task.metric, std::to_string(task.instances), task.value);
    if (task.metric != "bits_per_byte_corr") {
      text += line("", "bits_per_byte_corr", "", task.bpb);
    }
  }
  for (const auto& suite : comparison.suites) {
    text +=
        line(with_budgets(suite.suite + " (mean)", suite.max_loops_a, suite.max_loops_b, always),
             "", "", suite.value);
    text += line("", "bits_per_byte_corr", "", suite.bpb);
  }
  text += fmt::format("Paired bootstrap over documents, {} resamples, seed {}.\n",
                      comparison.options.resamples, comparison.options.seed);
  for (const auto& task : comparison.tasks) {
    if (!task.same_requests) {
      text += fmt::format("{}: the folders asked other prompts.\n", task.task);
    }
  }
  return text;
}

}  // namespace loopbank
