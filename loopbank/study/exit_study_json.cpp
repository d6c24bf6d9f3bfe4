/// A study of exits as JSON.

#include <nlohmann/json.hpp>

#include "loopbank/study/exit_conclusions.h"
#include "loopbank/study/exit_row.h"
#include "loopbank/study/exit_words.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

Json difference_json(const Difference& difference) {
  return {{"difference", difference.difference},
          {"low", difference.low},
          {"high", difference.high},
          {"p", difference.p}};
}

Json difference_json(const std::optional<Difference>& difference) {
  return difference ? difference_json(*difference) : Json();
}

/// What differs from model to model.
Json model_json(const ExitResult& of_model) {
  Json json = {{"bpb", of_model.bpb},
               {"kl", of_model.kl},
               {"top1_agreement", of_model.top1_agreement},
               {"mean_loops", of_model.mean_loops},
               {"flops_per_token", of_model.flops_per_token},
               {"seconds", of_model.seconds},
               {"seconds_of_all", of_model.seconds_of_all},
               {"time_saved_share", of_model.time_saved_share},
               {"cpu_saved_share", of_model.cpu_saved_share}};
  for (const auto& task : of_model.tasks) {
    json["tasks"][task.task] = task.value;
  }
  return json;
}

Json concluded_json(const ExitResult& result) {
  auto json = row_json(result);
  json["bpb_difference"] = difference_json(result.bpb_difference);
  json["bpb_over_seeds"] = difference_json(result.bpb_over_seeds);
  json["flops_saved_share"] = result.flops_saved_share;
  json["share_returned"] = result.share_returned ? Json(*result.share_returned) : Json();
  json["on_front_of_time"] = result.on_front_of_time;
  json["on_front_of_flops"] = result.on_front_of_flops;
  for (const auto& task : result.tasks) {
    json["tasks"][task.task] = task.value;
    json["task_differences"][task.task] = difference_json(task.difference);
  }
  for (const auto& of_model : result.by_model) {
    json["by_model"].push_back(model_json(of_model));
  }
  return json;
}

std::string_view verdict_key(Verdict verdict) {
  return verdict == Verdict::kBetter ? "better" : verdict == Verdict::kWorse ? "worse" : "open";
}

Json comparison_json(const ExitComparison& comparison) {
  return {{"question", comparison.question},
          {"where", name_of(comparison.where)},
          {"kv", comparison.kv},
          {"a", comparison.a},
          {"b", comparison.b},
          {"points", comparison.points},
          {"flops_a", comparison.flops_a},
          {"flops_b", comparison.flops_b},
          {"bpb_difference", difference_json(comparison.bpb_difference)},
          {"bpb_over_seeds", difference_json(comparison.over_seeds)},
          {"verdict", verdict_key(comparison.verdict)}};
}

Json found_json(const ExitResult* result) {
  return result == nullptr ? Json()
                           : Json({{"rule", result->rule},
                                   {"kv", result->kv},
                                   {"bpb_difference", difference_json(result->bpb_difference)},
                                   {"bpb_over_seeds", difference_json(result->bpb_over_seeds)},
                                   {"flops_saved_share", result->flops_saved_share},
                                   {"time_saved_share", result->time_saved_share}});
}

Json findings_json(const ExitStudy& study) {
  auto json = Json::object();
  for (const auto where : {ExitWhere::kDecode, ExitWhere::kEverywhere, ExitWhere::kScoring}) {
    const auto saved = [&](double share, double ExitResult::*what) {
      return found_json(all_of(study, where) == nullptr ? nullptr
                                                        : most_saved(study, where, share, what));
    };
    json[std::string(name_of(where))] = {
        {"most_flops_saved_within_half_a_percent",
         saved(kCloseBpb, &ExitResult::flops_saved_share)},
        {"most_time_saved_within_half_a_percent", saved(kCloseBpb, &ExitResult::time_saved_share)},
        {"most_flops_saved_at_equal_perplexity", saved(kEqualBpb, &ExitResult::flops_saved_share)},
        {"most_time_saved_at_equal_perplexity", saved(kEqualBpb, &ExitResult::time_saved_share)}};
  }
  return json;
}

}  // namespace

nlohmann::ordered_json to_json(const ExitStudy& study) {
  Json json = {{"models", study.models},
               {"documents", study.documents},
               {"scored_tokens", study.scored_tokens},
               {"timed_documents", study.timed_documents},
               {"noise", Json::object()},
               {"results", Json::array()},
               {"comparisons", Json::array()},
               {"answers", Json::array()},
               {"findings", findings_json(study)},
               {"said", Json::array()}};
  for (const auto& noise : study.noise) {
    json["noise"][std::string(name_of(noise.where))] = {{"rows", noise.rows},
                                                        {"median", noise.median},
                                                        {"half_width", noise.half_width},
                                                        {"cpu_half_width", noise.cpu_half_width}};
  }
  for (const auto& result : study.results) {
    json["results"].push_back(concluded_json(result));
  }
  for (const auto& comparison : study.comparisons) {
    json["comparisons"].push_back(comparison_json(comparison));
  }
  for (const auto& answer : study.answers) {
    json["answers"].push_back(comparison_json(answer));
  }
  for (const auto& answer : exit_answers(study)) {
    json["said"].push_back({{"headline", answer.headline}, {"sentences", answer.sentences}});
  }
  return json;
}

}  // namespace loopbank
