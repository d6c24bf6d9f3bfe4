/// A study of exits as JSON and as a table for people.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "loopbank/study/exit_study.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kCloseBpb = 0.005;  // the price that is asked about first
constexpr double kEqualBpb = 0.001;  // what counts as equal perplexity

Json difference_json(const PairedDifference& difference) {
  return {{"difference", difference.difference},
          {"low", difference.low},
          {"high", difference.high},
          {"p", difference.p}};
}

Json result_json(const ExitResult& result) {
  Json json = {{"rule", result.rule},
               {"hard", result.hard},
               {"kv", result.kv},
               {"where", name_of(result.where)},
               {"bpb", result.bpb},
               {"bpb_difference", difference_json(result.bpb_difference)},
               {"kl", result.kl},
               {"top1_agreement", result.top1_agreement},
               {"mean_loops", result.mean_loops},
               {"mean_loops_by_layer", result.mean_loops_by_layer},
               {"flops_per_token", result.flops_per_token},
               {"flops_saved_share", result.flops_saved_share},
               {"seconds", result.seconds},
               {"seconds_of_all", result.seconds_of_all},
               {"time_saved_share", result.time_saved_share},
               {"share_returned", nullptr},
               {"kv_bytes_per_token", result.kv_bytes_per_token},
               {"on_front_of_time", result.on_front_of_time},
               {"on_front_of_flops", result.on_front_of_flops}};
  if (result.share_returned) {
    json["share_returned"] = *result.share_returned;
  }
  if (!result.tasks.empty()) {
    for (const auto& task : result.tasks) {
      json["tasks"][task.task] = task.value;
    }
  }
  return json;
}

Json comparison_json(const ExitComparison& comparison) {
  return {{"question", comparison.question},
          {"where", name_of(comparison.where)},
          {"a", comparison.a},
          {"b", comparison.b},
          {"flops_a", comparison.flops_a},
          {"flops_b", comparison.flops_b},
          {"bpb_difference", difference_json(comparison.bpb_difference)}};
}

Json found(const ExitResult* result) {
  return result == nullptr ? Json()
                           : Json({{"rule", result->rule},
                                   {"kv", result->kv},
                                   {"bpb_difference", difference_json(result->bpb_difference)},
                                   {"flops_saved_share", result->flops_saved_share},
                                   {"time_saved_share", result->time_saved_share}});
}

Json findings_json(const ExitStudy& study) {
  auto json = Json::object();
  for (const auto where : {ExitWhere::kDecode, ExitWhere::kEverywhere, ExitWhere::kScoring}) {
    json[std::string(name_of(where))] = {
        {"most_flops_saved_within_half_a_percent",
         found(most_saved(study, where, kCloseBpb, &ExitResult::flops_saved_share))},
        {"most_time_saved_within_half_a_percent",
         found(most_saved(study, where, kCloseBpb, &ExitResult::time_saved_share))},
        {"most_flops_saved_at_equal_perplexity",
         found(most_saved(study, where, kEqualBpb, &ExitResult::flops_saved_share))}};
  }
  return json;
}

std::string line_of(const ExitResult& result, double bpb_of_all) {
  return fmt::format(
      "  {:<16} {:<10} {:>8.4f} {:>+7.2f} % {:>8.4f} {:>6.1f} % {:>6.2f} {:>9} "
      "{:>6.1f} % {:>6.1f} %{}{}\n",
      result.rule, result.kv, result.bpb, 100 * (result.bpb / bpb_of_all - 1), result.kl,
      100 * result.top1_agreement, result.mean_loops, format_count(result.flops_per_token),
      100 * result.flops_saved_share, 100 * result.time_saved_share,
      result.on_front_of_flops ? "  F" : "", result.on_front_of_time ? "  T" : "");
}

std::string finding_line(std::string_view what, const ExitResult* result) {
  return fmt::format(
      "  {:<42} {} with {}: BPB {:+.4f} ({:+.4f} to {:+.4f}), FLOPs {:+.1f} %, time "
      "{:+.1f} %\n",
      what, result->rule, result->kv, result->bpb_difference.difference, result->bpb_difference.low,
      result->bpb_difference.high, -100 * result->flops_saved_share,
      -100 * result->time_saved_share);
}

std::string findings_of(const ExitStudy& study, ExitWhere where) {
  std::string text;
  text += finding_line("most FLOPs saved within 0.5 % BPB",
                       most_saved(study, where, kCloseBpb, &ExitResult::flops_saved_share));
  text += finding_line("most time saved within 0.5 % BPB",
                       most_saved(study, where, kCloseBpb, &ExitResult::time_saved_share));
  text += finding_line("most FLOPs saved within 0.1 % BPB",
                       most_saved(study, where, kEqualBpb, &ExitResult::flops_saved_share));
  for (const auto& comparison : study.comparisons) {
    if (comparison.where == where) {
      text += fmt::format("  {:<4} {} against {}: BPB {:+.4f} ({:+.4f} to {:+.4f})\n",
                          comparison.question, comparison.b, comparison.a,
                          comparison.bpb_difference.difference, comparison.bpb_difference.low,
                          comparison.bpb_difference.high);
    }
  }
  return text;
}

}  // namespace

nlohmann::ordered_json to_json(const ExitStudy& study) {
  Json json = {{"documents", study.documents},
               {"scored_tokens", study.scored_tokens},
               {"timed_documents", study.timed_documents},
               {"results", Json::array()},
               {"comparisons", Json::array()},
               {"findings", study.results.empty() ? Json::object() : findings_json(study)}};
  for (const auto& result : study.results) {
    json["results"].push_back(result_json(result));
  }
  for (const auto& comparison : study.comparisons) {
    json["comparisons"].push_back(comparison_json(comparison));
  }
  return json;
}

std::string describe(const ExitStudy& study) {
  auto text =
      fmt::format("{} scored tokens of {} documents; F and T: on the front of FLOPs, of time\n",
                  study.scored_tokens, study.documents);
  const ExitResult* all = nullptr;
  for (const auto& result : study.results) {
    if (all == nullptr || all->where != result.where) {
      text += all == nullptr ? "" : findings_of(study, all->where);
      all = &result;
      text += fmt::format("\n{}\n  {:<16} {:<10} {:>8} {:>9} {:>8} {:>8} {:>6} {:>9} {:>8} {:>8}\n",
                          name_of(result.where), "rule", "kv", "BPB", "to all", "KL", "top 1",
                          "loops", "FLOPs", "saved", "time");
    }
    text += line_of(result, all->bpb);
  }
  return text + (all == nullptr ? "" : findings_of(study, all->where));
}

}  // namespace loopbank
