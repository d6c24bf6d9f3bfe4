#include "loopbank/study/exit_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "loopbank/study/exit_conclusions.h"
#include "loopbank/study/exit_words.h"
#include "loopbank/study/page_data.h"
#include "loopbank/study/page_files.h"
#include "loopbank/study/page_template.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kNearLoss = 0.05;  // of the bits per byte: what the first two pictures show
constexpr double kAnyLoss = std::numeric_limits<double>::infinity();
constexpr std::array kPagePlaces = {ExitWhere::kDecode, ExitWhere::kEverywhere,
                                    ExitWhere::kScoring};

/// The curve that a result is a point of: its rule without the threshold, and what differs from a
/// soft exit with `full`.
std::string curve_of(const ExitResult& result) {
  auto name = result.rule.substr(0, result.rule.find_first_of(":,"));
  name += result.hard ? ", hard" : "";
  return result.kv == "full" ? name : name + ", " + result.kv;
}

std::string color_of(const ExitResult& result) {
  static const std::map<std::string, std::string> colors = {
      {"all", "dense-0"},      {"budget", "dense-1"},  {"cdf", "loops-1"},
      {"router", "other-0"},   {"change", "memory-1"}, {"accel", "other-1"},
      {"entropy", "memory-0"}, {"kl", "loops-0"},      {"argmax", "other-3"}};
  const auto color = colors.find(result.rule.substr(0, result.rule.find_first_of(":,")));
  return color == colors.end() ? "other-2" : color->second;
}

/// Whether a curve is shown only when the reader asks for it: what is not a soft exit with `full` by
/// a rule that does without the head.
bool is_folded(const ExitResult& result) {
  const auto kind = kind_of_rule(result.rule);
  return result.hard || result.kv != "full" || kind == "entropy" || kind == "kl" ||
         kind == "argmax";
}

/// The points of a picture by curve, from little to much saved.
std::vector<FigureSeries> curves_of(const ExitStudy& study, ExitWhere where,
                                    double ExitResult::*saved, bool ExitResult::*on_front,
                                    double most_lost) {
  const double of_all = all_of(study, where)->bpb;
  std::vector<const ExitResult*> sorted;
  for (const auto& result : study.results) {
    if (result.where == where && result.bpb <= (1 + most_lost) * of_all) {
      sorted.push_back(&result);
    }
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const auto* a, const auto* b) { return a->*saved < b->*saved; });
  std::vector<FigureSeries> curves;
  for (const auto* result : sorted) {
    const auto name = curve_of(*result);
    auto curve = std::find_if(curves.begin(), curves.end(),
                              [&](const auto& known) { return known.label == name; });
    if (curve == curves.end()) {
      curves.push_back({.label = name,
                        .panel = std::string(name_of(where)),
                        .color = color_of(*result),
                        .hidden = is_folded(*result)});
      curve = curves.end() - 1;
    }
    curve->add(100 * result->*saved, 100 * (result->bpb / of_all - 1));
    curve->error.push_back(50 * (result->bpb_difference.high - result->bpb_difference.low) /
                           of_all);
    curve->notes.push_back(result->*on_front ? result->rule : "");
  }
  return curves;
}

std::string interval_cell(const Difference& difference) {
  return fmt::format("{:+.4f} to {:+.4f}", difference.low, difference.high);
}

/// Tasks that rows were scored on.
std::vector<std::string> tasks_in(const ExitStudy& study) {
  std::vector<std::string> names;
  const auto* scored = all_of(study, ExitWhere::kScoring);
  for (const auto& task : scored != nullptr ? scored->tasks : std::vector<ExitTask>()) {
    names.push_back(task.task);
  }
  return names;
}

Json row_columns_of(const ExitStudy& study) {
  Json columns = {"BPB", "to all", "95 % over documents"};
  if (study.models > 1) {
    columns.push_back("95 % over models");
  }
  for (const char* name : {"KL to all", "top 1", "loops", "FLOPs saved", "time saved",
                           "CPU time saved", "keys and values a token"}) {
    columns.push_back(name);
  }
  for (const auto& task : tasks_in(study)) {
    columns.push_back(task);
  }
  return columns;
}

/// What the times of each place are worth.
Json notes_of(const ExitStudy& study) {
  auto notes = Json::object();
  for (const auto& noise : study.noise) {
    notes[std::string(name_of(noise.where))] = fmt::format(
        "Times saved are good to +- {}, those of the processor to +- {}: what all loops in turns "
        "with themselves do not exceed in {} rows.",
        percent_of(noise.half_width), percent_of(noise.cpu_half_width),
        noise.rows < kRowsOfQuantile ? "any of the" : "95 of 100");
  }
  return notes;
}

std::string task_cell(const ExitTask& task) {
  return fmt::format("{:.3f} ({:+.3f}, {:+.3f} to {:+.3f})", task.value, task.difference.difference,
                     task.difference.low, task.difference.high);
}

Json cells_of(const ExitStudy& study, const ExitResult& result) {
  const double bpb_of_all = all_of(study, result.where)->bpb;
  Json cells = {fmt::format("{:.4f}", result.bpb),
                fmt::format("{:+.2f} %", 100 * (result.bpb / bpb_of_all - 1)),
                interval_cell(result.bpb_difference)};
  if (study.models > 1) {
    cells.push_back(result.bpb_over_seeds ? interval_cell(*result.bpb_over_seeds) : "");
  }
  for (const auto& text :
       {fmt::format("{:.4f}", result.kl), percent_of(result.top1_agreement),
        fmt::format("{:.2f}", result.mean_loops), percent_of(result.flops_saved_share),
        percent_of(result.time_saved_share), percent_of(result.cpu_saved_share),
        format_bytes(static_cast<double>(result.kv_bytes_per_token))}) {
    cells.push_back(text);
  }
  for (const auto& task : result.tasks) {
    cells.push_back(task_cell(task));
  }
  return cells;
}

Json rows_of(const ExitStudy& study) {
  auto list = Json::array();
  for (const auto& result : study.results) {
    list.push_back({{"where", name_of(result.where)},
                    {"rule", result.rule},
                    {"kv", result.kv},
                    {"front", result.on_front_of_time || result.on_front_of_flops},
                    {"cells", cells_of(study, result)}});
  }
  return list;
}

std::string verdict_cell(const ExitComparison& comparison) {
  return comparison.verdict == Verdict::kOpen     ? "not told apart"
         : comparison.verdict == Verdict::kBetter ? "better"
                                                  : "worse";
}

Json pair_json(const ExitStudy& study, const ExitComparison& comparison) {
  Json cells = {name_of(comparison.where),
                fmt::format("{:+.4f}", comparison.bpb_difference.difference),
                interval_cell(comparison.bpb_difference)};
  if (study.models > 1) {
    cells.push_back(comparison.over_seeds ? interval_cell(*comparison.over_seeds) : "");
  }
  cells.push_back(verdict_cell(comparison));
  auto a = comparison.a;
  auto b = comparison.b == "budget" ? "budgets drawn at random" : comparison.b;
  if (comparison.question == "prefill") {
    a = comparison.kv + " for decoding alone";
    b = comparison.kv + " in the prompt too" + (b.empty() ? "" : ", " + b);
  }
  if (comparison.points > 1) {
    a += fmt::format(", mean of {}", comparison.points);
  }
  return {{"question", comparison.question}, {"a", a}, {"b", b}, {"cells", std::move(cells)}};
}

Json pairs_json(const ExitStudy& study) {
  auto list = Json::array();
  for (const auto& comparison : study.comparisons) {
    list.push_back(pair_json(study, comparison));
  }
  return list;
}

/// Answers of comparisons are a sentence and a table; of the others, sentences.
Json answers_of(const ExitStudy& study) {
  auto list = Json::array();
  for (const auto& answer : exit_answers(study)) {
    auto sentences = answer.sentences;
    auto rows = Json::array();
    for (const auto* comparison : answer.comparisons) {
      rows.push_back(pair_json(study, *comparison));
    }
    sentences.resize(rows.empty() ? sentences.size() : 1);
    list.push_back({{"headline", answer.headline}, {"sentences", sentences}, {"rows", rows}});
  }
  return list;
}

Json compared_columns(const ExitStudy& study) {
  Json columns = {"where", "BPB", "95 % over documents"};
  if (study.models > 1) {
    columns.push_back("95 % over models");
  }
  columns.push_back("verdict");
  return columns;
}

}  // namespace

std::vector<Figure> exit_figures(const ExitStudy& study) {
  std::vector<Figure> figures;
  for (const double most_lost : {kNearLoss, kAnyLoss}) {
    const bool near = most_lost == kNearLoss;
    const auto within = near ? fmt::format(" within {:.0f} %", 100 * kNearLoss) : "";
    Figure time{.id = near ? "time-near" : "time",
                .section = "figures",
                .title = "Quality lost for time saved" + within,
                .caption =
                    "Bits per byte above those of all loops against the wall-clock time saved, "
                    "measured in turns with them. Lower and further right is better; what no "
                    "other result beats in both bears its name.",
                .x_title = "time saved, %",
                .y_title = "bits per byte above all, %",
                .kind = FigureKind::kPoints,
                .error_label = "half of the 95 % interval over documents"};
    auto flops = time;
    flops.id = near ? "flops-near" : "flops";
    flops.title = "Quality lost for FLOPs saved" + within;
    flops.caption = "The same against the FLOPs that the skipped loops would have taken.";
    flops.x_title = "FLOPs saved, %";
    for (const auto where : kPagePlaces) {
      if (all_of(study, where) == nullptr) {
        continue;
      }
      auto by_time = curves_of(study, where, &ExitResult::time_saved_share,
                               &ExitResult::on_front_of_time, most_lost);
      auto by_flops = curves_of(study, where, &ExitResult::flops_saved_share,
                                &ExitResult::on_front_of_flops, most_lost);
      time.series.insert(time.series.end(), by_time.begin(), by_time.end());
      flops.series.insert(flops.series.end(), by_flops.begin(), by_flops.end());
    }
    figures.push_back(std::move(time));
    figures.push_back(std::move(flops));
  }
  return figures;
}

std::string exit_page(const ExitStudy& study, const std::string& title, const std::string& lead) {
  Json data = {{"title", title},
               {"lead", lead},
               {"answers", answers_of(study)},
               {"figures", Json::array()},
               {"comparisons", pairs_json(study)},
               {"compared_columns", compared_columns(study)},
               {"columns", row_columns_of(study)},
               {"notes", notes_of(study)},
               {"rows", rows_of(study)}};
  for (const auto& figure : exit_figures(study)) {
    data["figures"].push_back(figure_json(figure, ""));
  }
  const auto text = script_json(data);
  return fill_template(kExitHtml, {{"head", page_head("loopbank exits")},
                                   {"data", text},
                                   {"chart_js", kChartJs},
                                   {"page_js", kExitJs}});
}

}  // namespace loopbank
