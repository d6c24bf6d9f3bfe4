#include "loopbank/study/exit_fronts.h"

#include <algorithm>
#include <cmath>

namespace loopbank {
namespace {

constexpr double kEqualFlops = 0.03;  // relative difference
constexpr uint64_t kPairSeed = 2;
constexpr int64_t kPairResamples = 2000;

bool beats(const ExitResult& one, const ExitResult& other, double ExitResult::*saved) {
  return one.where == other.where && one.bpb <= other.bpb && one.*saved >= other.*saved &&
         (one.bpb < other.bpb || one.*saved > other.*saved);
}

ExitComparison compare(const char* question, const ExitResult& a, const ExitResult& b) {
  return {.question = question,
          .where = a.where,
          .a = a.rule,
          .b = b.rule,
          .flops_a = a.flops_per_token,
          .flops_b = b.flops_per_token,
          .bpb_difference = describe_difference(
              resample_pairs(a.document_bpb, b.document_bpb, kPairSeed, kPairResamples))};
}

bool is_kind(const ExitResult& result, std::string_view kind) {
  return result.rule.starts_with(kind);
}

}  // namespace

void mark_fronts(ExitStudy& study) {
  auto& results = study.results;
  for (auto& result : results) {
    const auto beaten_by = [&](double ExitResult::*saved) {
      return std::any_of(results.begin(), results.end(),
                         [&](const auto& other) { return beats(other, result, saved); });
    };
    result.on_front_of_time = !beaten_by(&ExitResult::time_saved_share);
    result.on_front_of_flops = !beaten_by(&ExitResult::flops_saved_share);
  }
}

void compare_exits(ExitStudy& study) {
  for (const auto& a : study.results) {
    if (a.kv != "full" || a.hard) {
      continue;
    }
    for (const auto& b : study.results) {
      if (b.kv != "full" || b.where != a.where) {
        continue;
      }
      if (b.hard && b.rule == a.rule + ",hard") {
        study.comparisons.push_back(compare("hard", a, b));
      }
      const bool without_gate = !b.hard && (is_kind(b, "change:") || is_kind(b, "accel:"));
      if (is_kind(a, "cdf:") && without_gate &&
          std::abs(a.flops_per_token - b.flops_per_token) < kEqualFlops * a.flops_per_token) {
        study.comparisons.push_back(compare("gate", a, b));
      }
    }
  }
}

const ExitResult* most_saved(const ExitStudy& study, ExitWhere where, double share,
                             double ExitResult::*saved) {
  const auto all = std::find_if(study.results.begin(), study.results.end(),
                                [&](const auto& result) { return result.where == where; });
  const ExitResult* best = nullptr;
  for (const auto& result : study.results) {
    if (result.where == where && result.bpb <= (1 + share) * all->bpb &&
        (best == nullptr || result.*saved > best->*saved)) {
      best = &result;
    }
  }
  return best;
}

}  // namespace loopbank
