#include "loopbank/study/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "loopbank/data/benchmark_instance.h"
#include "loopbank/support/error.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

/// A column of the table that the paper has too.
struct Column {
  const char* name;
  const char* paper_name;
  bool lower_is_better;
  double SystemResult::*measured;
  double SystemResult::Errors::*error;
  double PaperScores::*paper;
};

constexpr std::array<Column, 3> kColumns = {
    {{"facts accuracy", "CS Acc", false, &SystemResult::facts_accuracy,
      &SystemResult::Errors::facts_accuracy, &PaperScores::commonsense_accuracy},
     {"facts BPB", "CS BPB", true, &SystemResult::facts_bpb, &SystemResult::Errors::facts_bpb,
      &PaperScores::commonsense_bpb},
     {"reasoning BPB", "Math BPB", true, &SystemResult::reasoning_bpb,
      &SystemResult::Errors::reasoning_bpb, &PaperScores::math_bpb}}};
constexpr const Column& kFactsBpb = kColumns[1];
constexpr const Column& kReasoningBpb = kColumns[2];

/// A sentence of the paper that compares two systems in one column.
struct Claim {
  const char* text;
  const char* better;
  const char* worse;
  const Column& column;
};

constexpr std::array<Claim, 6> kClaims = {
    {{"Loops help reasoning against the plain transformer", "loop3", "isopar", kReasoningBpb},
     {"Loops beat the deeper transformer of equal FLOPs in reasoning", "loop3", "isoflop",
      kReasoningBpb},
     {"The deeper transformer of equal FLOPs knows more than loops", "isoflop", "loop3", kFactsBpb},
     {"Memory with open gates gives loops more knowledge", "mem-g3", "loop3", kFactsBpb},
     {"Memory with open gates beats the wider transformer in knowledge", "mem-g3", "isopar-m",
      kFactsBpb},
     {"Memory with open gates reasons best of the looped systems", "mem-g3", "loop3",
      kReasoningBpb}}};

const SystemResult* find_system(const StudyResult& result, std::string_view name) {
  const auto found = std::find_if(result.systems.begin(), result.systems.end(),
                                  [&](const SystemResult& system) { return system.name == name; });
  return found == result.systems.end() ? nullptr : &*found;
}

/// +1, 0 or -1: whether the first of two scores is better, equal or worse.
int sign_of(double first, double second, bool lower_is_better) {
  const int sign = (first > second) - (first < second);
  return lower_is_better ? -sign : sign;
}

/// Counts the pairs that the paper orders, and those of them that came out in the same order.
std::pair<int, int> agreeing_pairs(const StudyResult& result, const Column& column) {
  int alike = 0;
  int ordered = 0;
  const auto& systems = result.systems;
  for (size_t i = 0; i < systems.size(); ++i) {
    for (size_t j = i + 1; j < systems.size(); ++j) {
      const int paper = sign_of(systems[i].paper.*column.paper, systems[j].paper.*column.paper,
                                column.lower_is_better);
      const int measured =
          sign_of(systems[i].*column.measured, systems[j].*column.measured, column.lower_is_better);
      ordered += paper != 0 ? 1 : 0;
      alike += paper != 0 && paper == measured ? 1 : 0;
    }
  }
  return {alike, ordered};
}

std::string describe_claim(const Claim& claim, const SystemResult& better,
                           const SystemResult& worse) {
  const double here = better.*claim.column.measured;
  const double there = worse.*claim.column.measured;
  const int sign = sign_of(here, there, claim.column.lower_is_better);
  const double error =
      std::hypot(better.errors.*claim.column.error, worse.errors.*claim.column.error);
  const char* verdict = error > 0 && std::abs(here - there) < 2 * error ? "too near to tell"
                        : sign > 0                                      ? "as in the paper"
                                                                        : "NOT as in the paper";
  return fmt::format("  {:<19} {}: {} {} {:.3f} against {} {:.3f} (paper {:.3f} against {:.3f})\n",
                     verdict, claim.text, claim.column.name, better.label, here, worse.label, there,
                     better.paper.*claim.column.paper, worse.paper.*claim.column.paper);
}

/// A score with its standard error: `0.412+-.031`.
std::string with_error(double score, double error) {
  const auto digits = fmt::format("{:.3f}", error);
  return fmt::format("{:.3f}+-{}", score, digits.starts_with("0") ? digits.substr(1) : digits);
}

nlohmann::ordered_json parsed(const std::string& text) {
  return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json::parse(text);
}

}  // namespace

nlohmann::ordered_json to_json(const PaperScores& scores) {
  return {{"commonsense_accuracy", scores.commonsense_accuracy},
          {"commonsense_bpb", scores.commonsense_bpb},
          {"math_bpb", scores.math_bpb}};
}

nlohmann::ordered_json to_json(const SystemResult& result) {
  nlohmann::ordered_json json = {{"name", result.name},
                                 {"label", result.label},
                                 {"parameters", result.parameters},
                                 {"flops_per_token", result.forward_flops},
                                 {"training_flops_per_token", result.training_flops},
                                 {"facts_accuracy", result.facts_accuracy},
                                 {"facts_bpb", result.facts_bpb},
                                 {"facts_instances", result.facts_instances},
                                 {"reasoning_accuracy", result.reasoning_accuracy},
                                 {"reasoning_bpb", result.reasoning_bpb},
                                 {"reasoning_instances", result.reasoning_instances},
                                 {"standard_errors",
                                  {{"facts_accuracy", result.errors.facts_accuracy},
                                   {"facts_bpb", result.errors.facts_bpb},
                                   {"reasoning_accuracy", result.errors.reasoning_accuracy},
                                   {"reasoning_bpb", result.errors.reasoning_bpb}}},
                                 {"mean_loops", result.mean_loops},
                                 {"validation_loss", result.validation_loss},
                                 {"tokens_per_second", result.tokens_per_second},
                                 {"steps", result.steps},
                                 {"tokens", result.tokens},
                                 {"seconds", result.seconds},
                                 {"evaluation_seconds", result.evaluation_seconds},
                                 {"paper", to_json(result.paper)}};
  if (result.residuals) {
    json["residuals"] = {{"parameters", result.residuals->parameters},
                         {"forward_flops", result.residuals->forward_flops}};
  }
  return json;
}

SystemResult system_result_from_json(const nlohmann::json& json, const std::string& where) {
  try {
    SystemResult result;
    json.at("name").get_to(result.name);
    json.at("label").get_to(result.label);
    json.at("parameters").get_to(result.parameters);
    json.at("flops_per_token").get_to(result.forward_flops);
    json.at("training_flops_per_token").get_to(result.training_flops);
    json.at("facts_accuracy").get_to(result.facts_accuracy);
    json.at("facts_bpb").get_to(result.facts_bpb);
    json.at("facts_instances").get_to(result.facts_instances);
    json.at("reasoning_accuracy").get_to(result.reasoning_accuracy);
    json.at("reasoning_bpb").get_to(result.reasoning_bpb);
    json.at("reasoning_instances").get_to(result.reasoning_instances);
    const auto& errors = json.at("standard_errors");
    errors.at("facts_accuracy").get_to(result.errors.facts_accuracy);
    errors.at("facts_bpb").get_to(result.errors.facts_bpb);
    errors.at("reasoning_accuracy").get_to(result.errors.reasoning_accuracy);
    errors.at("reasoning_bpb").get_to(result.errors.reasoning_bpb);
    json.at("mean_loops").get_to(result.mean_loops);
    json.at("validation_loss").get_to(result.validation_loss);
    json.at("tokens_per_second").get_to(result.tokens_per_second);
    json.at("steps").get_to(result.steps);
    json.at("tokens").get_to(result.tokens);
    json.at("seconds").get_to(result.seconds);
    json.at("evaluation_seconds").get_to(result.evaluation_seconds);
    json.at("paper").at("commonsense_accuracy").get_to(result.paper.commonsense_accuracy);
    json.at("paper").at("commonsense_bpb").get_to(result.paper.commonsense_bpb);
    json.at("paper").at("math_bpb").get_to(result.paper.math_bpb);
    if (json.contains("residuals")) {
      result.residuals = SystemResult::Residuals{json["residuals"].at("parameters"),
                                                 json["residuals"].at("forward_flops")};
    }
    return result;
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::kData,
         "{}: expected the result of a system, got {}. Remove the file to train that system anew.",
         where, error.what());
  }
}

nlohmann::ordered_json to_json(const StudyResult& result) {
  auto systems = nlohmann::ordered_json::array();
  for (const auto& system : result.systems) {
    systems.push_back(to_json(system));
  }
  return {{"scale", result.scale},
          {"seed", result.seed},
          {"command", result.command},
          {"threads", result.threads},
          {"chance_accuracy", 1.0 / kBenchmarkChoices},
          {"data", parsed(result.data)},
          {"settings", result.settings},
          {"systems", systems}};
}

std::string format_table(const StudyResult& result) {
  std::string text = fmt::format(
      "{:<12} {:>11} {:>11} {:>11} {:>11} {:>10} {:>7} {:>5} {:>8} | {}\n", "", "facts", "facts",
      "reasoning", "reasoning", "", "FLOPs", "mean", "tokens", "paper's own, on other data:");
  text += fmt::format(
      "{:<12} {:>11} {:>11} {:>11} {:>11} {:>10} {:>7} {:>5} {:>8} | {:>6} {:>6} {:>8}\n", "system",
      "accuracy", "BPB", "BPB", "accuracy", "parameters", "a token", "loops", "a second", "CS Acc",
      "CS BPB", "Math BPB");
  text += std::string(95, '-') + "+" + std::string(23, '-') + "\n";
  for (const auto& row : result.systems) {
    text += fmt::format(
        "{:<12} {:>11} {:>11} {:>11} {:>11} {:>10} {:>7} {:>5.2f} {:>8} | {:>6.3f} {:>6.3f} "
        "{:>8.3f}\n",
        row.label, with_error(row.facts_accuracy, row.errors.facts_accuracy),
        with_error(row.facts_bpb, row.errors.facts_bpb),
        with_error(row.reasoning_bpb, row.errors.reasoning_bpb),
        with_error(row.reasoning_accuracy, row.errors.reasoning_accuracy),
        format_count(row.parameters), format_count(row.forward_flops), row.mean_loops,
        format_count(row.tokens_per_second), row.paper.commonsense_accuracy,
        row.paper.commonsense_bpb, row.paper.math_bpb);
  }
  for (const auto& row : result.systems) {
    if (row.residuals) {
      text += fmt::format("{}: {:+.1f} % parameters, {:+.1f} % FLOPs against what it matches\n",
                          row.label, 100 * row.residuals->parameters,
                          100 * row.residuals->forward_flops);
    }
  }
  return text;
}

std::string compare_with_paper(const StudyResult& result) {
  if (result.systems.size() < 2) {
    return "One system alone has no order to compare with the paper's.\n";
  }
  std::string text = "Order of the systems against the paper's:\n";
  for (const auto& column : kColumns) {
    const auto [alike, ordered] = agreeing_pairs(result, column);
    text += fmt::format("  {:<14} {} of {} pairs as {} orders them{}\n", column.name, alike,
                        ordered, column.paper_name, alike == ordered ? "" : "; the order differs");
  }
  for (const auto& claim : kClaims) {
    const auto* better = find_system(result, claim.better);
    const auto* worse = find_system(result, claim.worse);
    if (better != nullptr && worse != nullptr) {
      text += describe_claim(claim, *better, *worse);
    }
  }
  text += fmt::format(
      "+- is one standard error over {} questions on facts and {} on problems, of one seed ({}): "
      "another seed moves\nthe scores further. Guessing has an accuracy of {:.3f}.\n",
      result.systems.front().facts_instances, result.systems.front().reasoning_instances,
      result.seed, 1.0 / kBenchmarkChoices);
  return text;
}

}  // namespace loopbank
