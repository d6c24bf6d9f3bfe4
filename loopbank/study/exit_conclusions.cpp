#include "loopbank/study/exit_conclusions.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace loopbank {
namespace {

constexpr double kFewestFlopsSaved = 0.01;  // of which the returned share is a figure
constexpr uint64_t kExitSeed = 1;
constexpr int64_t kExitResamples = 2000;
constexpr double kNoiseQuantile = 0.95;

bool beats(const ExitResult& one, const ExitResult& other, double ExitResult::*saved) {
  return one.where == other.where && one.bpb <= other.bpb && one.*saved >= other.*saved &&
         (one.bpb < other.bpb || one.*saved > other.*saved);
}

std::vector<double> bpb_of_models(const ExitResult& result) {
  std::vector<double> values;
  for (const auto& of_model : result.by_model) {
    values.push_back(of_model.bpb);
  }
  return values;
}

/// What a row is worth beside `all` of its place.
void compare_with_all(const ExitResult& all, ExitResult& row) {
  row.flops_saved_share = 1.0 - row.flops_per_token / all.flops_per_token;
  row.share_returned = std::nullopt;
  if (row.flops_saved_share >= kFewestFlopsSaved) {
    row.share_returned = row.time_saved_share / row.flops_saved_share;
  }
  row.bpb_difference = describe_difference(
      resample_pairs(all.document_bpb, row.document_bpb, kExitSeed, kExitResamples));
  row.bpb_over_seeds = difference_over_models(bpb_of_models(all), bpb_of_models(row));
  for (size_t t = 0; t < row.tasks.size(); ++t) {
    row.tasks[t].difference = describe_difference(
        resample_pairs(all.tasks[t].questions, row.tasks[t].questions, kExitSeed, kExitResamples));
  }
}

/// The largest of the sizes, or from kRowsOfQuantile rows on that which 95 of 100 do not exceed.
double half_width_of(std::vector<double> shares) {
  for (auto& share : shares) {
    share = std::abs(share);
  }
  std::sort(shares.begin(), shares.end());
  auto last = shares.size() - 1;
  if (static_cast<int64_t>(shares.size()) >= kRowsOfQuantile) {
    last = static_cast<size_t>(std::ceil(kNoiseQuantile * static_cast<double>(shares.size()))) - 1;
  }
  return shares[last];
}

ExitNoise noise_of(const ExitStudy& study, ExitWhere where) {
  std::vector<double> shares, of_cpu;
  for (const auto& result : study.results) {
    if (result.where == where) {
      shares.push_back(result.noise_share);
      of_cpu.push_back(result.cpu_noise_share);
    }
  }
  return {.where = where,
          .rows = static_cast<int64_t>(shares.size()),
          .median = median(shares),
          .half_width = half_width_of(shares),
          .cpu_half_width = half_width_of(of_cpu)};
}

}  // namespace

std::string_view kind_of_rule(std::string_view rule) {
  return rule.substr(0, rule.find_first_of(":,"));
}

const ExitResult* all_of(const ExitStudy& study, ExitWhere where) {
  const auto all = std::find_if(study.results.begin(), study.results.end(),
                                [&](const auto& result) { return result.where == where; });
  return all == study.results.end() ? nullptr : &*all;
}

std::vector<double> pooled_documents(const std::vector<std::vector<double>>& of_models) {
  const auto& first = of_models.front();
  const auto models = static_cast<double>(of_models.size());
  std::vector<double> pooled;
  const bool alike = std::all_of(of_models.begin(), of_models.end(),
                                 [&](const auto& one) { return one.size() == first.size(); });
  if (alike) {
    pooled.assign(first.size(), 0.0);
    for (const auto& values : of_models) {
      for (size_t d = 0; d < values.size(); ++d) {
        pooled[d] += values[d] / models;
      }
    }
    return pooled;
  }
  const auto total = std::accumulate(
      of_models.begin(), of_models.end(), 0.0,
      [](double sum, const auto& values) { return sum + static_cast<double>(values.size()); });
  for (const auto& values : of_models) {
    for (const double value : values) {
      pooled.push_back(value * total / (models * static_cast<double>(values.size())));
    }
  }
  return pooled;
}

std::optional<Difference> difference_over_models(std::span<const double> a,
                                                 std::span<const double> b) {
  std::vector<double> differences;
  for (size_t m = 0; m < a.size(); ++m) {
    differences.push_back(b[m] - a[m]);
  }
  return student_difference(differences);
}

Verdict judged_difference(const PairedDifference& documents,
                          const std::optional<Difference>& models) {
  const bool over_models = models && (documents.excludes_zero() || !models->excludes_zero());
  return verdict_on(over_models ? *models : documents, /*lower_is_better=*/true);
}

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

void conclude_exits(ExitStudy& study) {
  study.noise.clear();
  for (const auto where : kExitPlaces) {
    const auto* first = all_of(study, where);
    if (first == nullptr) {
      continue;
    }
    const auto all = *first;
    for (auto& row : study.results) {
      if (row.where == where) {
        compare_with_all(all, row);
      }
    }
    study.noise.push_back(noise_of(study, where));
  }
  mark_fronts(study);
  compare_exits(study);
}

const ExitResult* most_saved(const ExitStudy& study, ExitWhere where, double share,
                             double ExitResult::*saved) {
  const auto* all = all_of(study, where);
  const ExitResult* best = nullptr;
  for (const auto& result : study.results) {
    // Time that was saved without FLOPs is the clock's noise.
    const bool saves = &result == all || result.flops_saved_share >= kFewestFlopsSaved;
    if (result.where == where && saves && result.bpb <= (1 + share) * all->bpb &&
        (best == nullptr || result.*saved > best->*saved)) {
      best = &result;
    }
  }
  return best;
}

}  // namespace loopbank
