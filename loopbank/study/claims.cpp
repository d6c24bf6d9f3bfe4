#include "loopbank/study/claims.h"

#include <array>

namespace loopbank {
namespace {

/// A sentence of the paper that compares two systems in one column.
struct Finding {
  int question;
  const char* text;
  const char* better;
  const char* worse;
  const char* kind;  ///< of the column
  bool is_bpb;
};

constexpr const char* kReasoning = "reasoning";
constexpr const char* kKnowledge = "knowledge";

constexpr std::array<Finding, 11> kFindings = {{
    {1, "Three loops reason better than the plain transformer", "loop3", "isopar", kReasoning,
     true},
    {1, "Seven loops reason better than the plain transformer", "loop7", "isopar", kReasoning,
     true},
    {1, "Three loops reason better than the deeper transformer of equal FLOPs", "loop3", "isoflop",
     kReasoning, true},
    {2, "The deeper transformer of equal FLOPs knows more than loops", "isoflop", "loop3",
     kKnowledge, true},
    {2, "Memory with open gates gives loops more knowledge", "mem-g3", "loop3", kKnowledge, true},
    {2, "Memory with open gates knows more than the wider transformer", "mem-g3", "isopar-m",
     kKnowledge, true},
    {2, "The deeper transformer still knows more than memory", "isoflop", "mem-g3", kKnowledge,
     true},
    {3, "Memory on top of loops reasons better still", "mem-g3", "loop3", kReasoning, true},
    {3, "Memory and loops reason better than the plain transformer", "mem-g3", "isopar", kReasoning,
     true},
    {3, "Memory and loops reason better than the deep wide transformer", "mem-g3", "isoflop-m",
     kReasoning, true},
    {3, "Gates that start open serve memory better than closed ones", "mem-g3", "mem-gm3",
     kKnowledge, true},
}};

std::string verdict_on(const Difference& difference, bool lower_is_better) {
  if (!difference.excludes_zero()) {
    return "too near to tell";
  }
  return (difference.difference < 0) == lower_is_better ? "as in the paper" : "not as in the paper";
}

}  // namespace

std::vector<Claim> check_claims(const PartResult& part, ScoreFolders& folders) {
  std::vector<Claim> claims;
  for (const auto& finding : kFindings) {
    const auto* better = part.find(finding.better);
    const auto* worse = part.find(finding.worse);
    const auto* column = find_column(part.columns, finding.kind, finding.is_bpb);
    if (better == nullptr || worse == nullptr || column == nullptr || !better->system.paper ||
        !worse->system.paper) {
      continue;
    }
    const auto common = common_seeds(*worse, *better);
    if (common.first.empty()) {
      continue;
    }
    // Compared already where `worse` is one of those that every system is tested against.
    const auto known = better->against.find(finding.worse);
    const auto compared = known != better->against.end()
                              ? known->second.at(column->key)
                              : compare_runs(common.first, common.second, *column, folders);
    const double there = (*worse->system.paper).*column->paper;
    claims.push_back({.question = finding.question,
                      .text = finding.text,
                      .column = column->key,
                      .better = finding.better,
                      .worse = finding.worse,
                      .ours = compared.mean_b / compared.mean_a - 1.0,
                      .paper = (*better->system.paper).*column->paper / there - 1.0,
                      .difference = compared.decisive(),
                      .verdict = verdict_on(compared.decisive(), finding.is_bpb)});
  }
  return claims;
}

}  // namespace loopbank
