#include "loopbank/study/system_exits.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "loopbank/study/comparison.h"
#include "loopbank/study/comparison_members.h"
#include "loopbank/support/json_members.h"

namespace loopbank {
namespace {

constexpr double kEqualFlopsOfGate = 0.03;  // relative difference

const MembersForm kSystemExitsForm = {.expected = "what stopping early costs a system"};

/// Here - there over the rows of all seeds, and over the seeds; judged. Each seed's rows are taken as
/// its own: of text that all seeds share, the interval is of this text.
SystemComparison compare_rows(const std::vector<const std::vector<double>*>& here,
                              const std::vector<const std::vector<double>*>& there) {
  TaskDifferences rows;
  double own = 0.0;
  double other = 0.0;
  for (size_t i = 0; i < here.size(); ++i) {
    auto& differences = rows.by_seed.emplace_back(*here[i]);
    for (size_t row = 0; row < differences.size(); ++row) {
      differences[row] -= there[i]->at(row);
    }
    own += mean_of(*here[i]) / static_cast<double>(here.size());
    other += mean_of(*there[i]) / static_cast<double>(here.size());
  }
  return compare_seeds({rows}, own, other, /*lower_is_better=*/true);
}

/// The same result of every run; empty where one has none.
std::vector<const RunExit*> of_every_run(const std::vector<RunExitsAt>& runs, const RunExit& one) {
  std::vector<const RunExit*> found;
  for (const auto& run : runs) {
    const auto* result = run.exits.find(one.name, one.kv, one.where);
    if (result == nullptr) {
      return {};
    }
    found.push_back(result);
  }
  return found;
}

ExitSummary summarize_exit(const std::vector<const RunExit*>& results) {
  const auto& first = *results.front();
  ExitSummary summary{.name = first.name, .kv = first.kv, .where = first.where};
  std::vector<const std::vector<double>*> here;
  std::vector<const std::vector<double>*> there;
  for (const auto* result : results) {
    const auto count = static_cast<double>(results.size());
    summary.rules.push_back(result->rule);
    summary.mean_loops += result->mean_loops / count;
    summary.flops_per_token += result->flops_per_token / count;
    summary.flops_saved_by_seed.push_back(result->flops_saved);
    if (result->time_saved) {
      summary.time_saved_by_seed.push_back(*result->time_saved);
    }
    here.push_back(&result->row_bpb);
    there.push_back(&result->row_bpb_of_all);
  }
  summary.bpb = compare_rows(here, there);
  return summary;
}

/// cdf against change of the same share, where every seed has both at equal FLOPs. With `full`
/// decoding gives the bits per byte of scoring, so this is told of scoring alone.
std::vector<GateComparison> compare_gate(const std::vector<RunExitsAt>& runs,
                                         const std::vector<ExitSummary>& results) {
  constexpr std::string_view kGate = "cdf ";
  const std::string where = "scoring";
  std::vector<GateComparison> comparisons;
  for (const auto& summary : results) {
    if (!summary.name.starts_with(kGate) || summary.kv != "full" || summary.where != where) {
      continue;
    }
    GateComparison comparison{.gate = summary.name,
                              .without = "change " + summary.name.substr(kGate.size()),
                              .where = where};
    std::vector<const std::vector<double>*> with;
    std::vector<const std::vector<double>*> without;
    for (const auto& run : runs) {
      const auto* a = run.exits.find(comparison.gate, "full", where);
      const auto* b = run.exits.find(comparison.without, "full", where);
      if (a == nullptr || b == nullptr ||
          std::abs(b->flops_per_token / a->flops_per_token - 1) > kEqualFlopsOfGate) {
        break;
      }
      comparison.flops += a->flops_per_token / static_cast<double>(runs.size());
      comparison.flops_without += b->flops_per_token / static_cast<double>(runs.size());
      with.push_back(&a->row_bpb);
      without.push_back(&b->row_bpb);
    }
    if (with.size() == runs.size()) {
      comparison.bpb = compare_rows(with, without);
      comparisons.push_back(std::move(comparison));
    }
  }
  return comparisons;
}

}  // namespace

double ExitSummary::flops_saved() const {
  return flops_saved_by_seed.empty() ? 0.0 : mean_of(flops_saved_by_seed);
}

double ExitSummary::time_saved() const {
  return time_saved_by_seed.empty() ? 0.0 : mean_of(time_saved_by_seed);
}

const ExitSummary* SystemExits::find(const std::string& name, const std::string& kv,
                                     const std::string& where) const {
  const auto found = std::find_if(results.begin(), results.end(), [&](const ExitSummary& result) {
    return result.name == name && result.kv == kv && result.where == where;
  });
  return found == results.end() ? nullptr : &*found;
}

SystemExits summarize_exits(const std::vector<RunExitsAt>& runs,
                            const std::vector<Column>& columns) {
  SystemExits exits{.rows = runs.front().exits.rows,
                    .scored_tokens = runs.front().exits.scored_tokens};
  std::vector<std::filesystem::path> early;
  std::vector<std::filesystem::path> full;
  for (const auto& [run, folder] : runs) {
    exits.seeds.push_back(run.seed);
    exits.chosen.push_back({run.chosen, run.chosen_flops_saved, run.chosen_time_saved});
    early.push_back(early_scores(run, folder));
    full.push_back(folder / "scores");
  }
  for (const auto& result : runs.front().exits.results) {
    if (const auto found = of_every_run(runs, result); !found.empty()) {
      exits.results.push_back(summarize_exit(found));
    }
  }
  exits.gate = compare_gate(runs, exits.results);
  ScoreFolders folders;
  for (const auto& column : columns) {
    if (column.measure != Measure::kBitsAParameter) {  // of one model, bits per byte say as much
      exits.questions[column.key] = compare_runs(early, full, column, folders);
    }
  }
  return exits;
}

const ExitSummary* most_saved(const SystemExits& exits, const std::string& where, double share,
                              double (ExitSummary::*saved)() const) {
  const auto* best = exits.find("all", "full", where);
  for (const auto& result : exits.results) {
    if (best != nullptr && result.kv == "full" && result.where == where &&
        result.bpb.here <= (1 + share) * result.bpb.there && (result.*saved)() > (best->*saved)()) {
      best = &result;
    }
  }
  return best;
}

bool is_clearly_within(const ExitSummary& exit, double share) {
  auto comparison = exit.bpb;
  if (!comparison.seeds) {
    return false;
  }
  auto& seeds = *comparison.seeds;
  static_cast<Difference&>(seeds) = student_difference(
      seeds.difference - share * comparison.there, seeds.standard_error, seeds.degrees_of_freedom);
  judge(comparison, /*lower_is_better=*/true);
  return comparison.verdict == Verdict::kBetter;
}

std::optional<double> half_interval(const std::vector<double>& by_seed) {
  const auto interval = student_difference(by_seed);
  return interval ? std::optional((interval->high - interval->low) / 2) : std::nullopt;
}

void members(auto& by, Either<ExitSummary> auto& result) {
  by("name", result.name);
  by("kv", result.kv);
  by("where", result.where);
  by("rules", result.rules);
  by("mean_loops", result.mean_loops);
  by("flops_per_token", result.flops_per_token);
  by("flops_saved_share_by_seed", result.flops_saved_by_seed);
  by.unless_empty("time_saved_share_by_seed", result.time_saved_by_seed);
  by("bpb", result.bpb.here);
  by("bpb_of_all", result.bpb.there);
  by.object("bpb_difference", result.bpb);
}

void members(auto& by, Either<GateComparison> auto& gate) {
  by("gate", gate.gate);
  by("without", gate.without);
  by("where", gate.where);
  by("flops_per_token", gate.flops);
  by("flops_per_token_without", gate.flops_without);
  by("bpb", gate.bpb.here);
  by("bpb_without", gate.bpb.there);
  by.object("bpb_difference", gate.bpb);
}

void members(auto& by, Either<ChosenExit> auto& chosen) {
  by("rule", chosen.rule);
  by("flops_saved_share", chosen.flops_saved);
  by("time_saved_share", chosen.time_saved);
}

void members(auto& by, Either<SystemExits> auto& exits) {
  by("seeds", exits.seeds);
  by("rows", exits.rows);
  by("scored_tokens", exits.scored_tokens);
  by.list("results", exits.results);
  by.list("gate", exits.gate);
  by.list("chosen", exits.chosen);
}

nlohmann::ordered_json to_json(const SystemExits& exits) {
  auto json = JsonWriter::write(exits);
  const auto add_verdict = [](nlohmann::ordered_json& to, const SystemComparison& comparison) {
    to["verdict"] = name_of(comparison.verdict);
  };
  for (size_t i = 0; i < exits.results.size(); ++i) {
    add_verdict(json["results"][i], exits.results[i].bpb);
  }
  for (size_t i = 0; i < exits.gate.size(); ++i) {
    add_verdict(json["gate"][i], exits.gate[i].bpb);
  }
  json["questions"] = nlohmann::ordered_json::object();
  for (const auto& [column, comparison] : exits.questions) {
    auto& score = json["questions"][column];
    score = {{"value", comparison.here}, {"value_of_all", comparison.there}};
    score.update(JsonWriter::write(comparison));
    add_verdict(score, comparison);
  }
  return json;
}

SystemExits system_exits_from_json(const nlohmann::ordered_json& json,
                                   const std::vector<Column>& columns, const std::string& where) {
  SystemExits exits;
  const JsonReader from(json, where, kSystemExitsForm);
  from.read(exits);
  const auto complete = [&](SystemComparison& comparison, bool lower_is_better) {
    comparison.num_seeds = std::ssize(exits.seeds);
    judge(comparison, lower_is_better);
  };
  for (auto& result : exits.results) {
    complete(result.bpb, true);
  }
  for (auto& gate : exits.gate) {
    complete(gate.bpb, true);
  }
  from.each("questions", [&](const std::string& key, const JsonReader& score) {
    if (const auto* column = find_column(columns, key)) {
      auto& comparison = exits.questions[key];
      score.read(comparison);
      score("value", comparison.here);
      score("value_of_all", comparison.there);
      complete(comparison, column->lower_is_better());
    }
  });
  return exits;
}

}  // namespace loopbank
