#include "loopbank/study/exit_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "loopbank/study/page_data.h"
#include "loopbank/study/page_files.h"
#include "loopbank/study/page_template.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kHalfPercent = 0.005;
constexpr double kSamePerplexity = 0.001;
constexpr std::array kPlaces = {ExitWhere::kDecode, ExitWhere::kEverywhere, ExitWhere::kScoring};

/// The curve that a result is a point of: its rule without the threshold, and what differs from a
/// soft exit with `full`.
std::string curve_of(const ExitResult& result) {
  auto name = result.rule.substr(0, result.rule.find_first_of(":,"));
  name += result.hard ? ", hard" : "";
  return result.kv == "full" ? name : name + ", " + result.kv;
}

std::string color_of(const ExitResult& result) {
  static const std::map<std::string, std::string> colors = {
      {"all", "dense-0"},    {"budget", "dense-1"},  {"cdf", "loops-1"},
      {"router", "other-0"}, {"change", "memory-1"}, {"accel", "other-1"}};
  const auto color = colors.find(result.rule.substr(0, result.rule.find_first_of(":,")));
  return color == colors.end() ? "other-2" : color->second;
}

const ExitResult& all_of(const ExitStudy& study, ExitWhere where) {
  return *std::find_if(study.results.begin(), study.results.end(),
                       [&](const auto& result) { return result.where == where; });
}

/// The points of a picture by curve, from little to much saved.
std::vector<FigureSeries> curves_of(const ExitStudy& study, ExitWhere where,
                                    double ExitResult::*saved, bool ExitResult::*on_front) {
  std::vector<const ExitResult*> sorted;
  for (const auto& result : study.results) {
    if (result.where == where) {
      sorted.push_back(&result);
    }
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const auto* a, const auto* b) { return a->*saved < b->*saved; });
  const double of_all = all_of(study, where).bpb;
  std::vector<FigureSeries> curves;
  for (const auto* result : sorted) {
    const auto name = curve_of(*result);
    auto curve = std::find_if(curves.begin(), curves.end(),
                              [&](const auto& known) { return known.label == name; });
    if (curve == curves.end()) {
      curves.push_back({.label = name,
                        .panel = std::string(name_of(where)),
                        .color = color_of(*result),
                        .hidden = result->hard || result->kv != "full"});
      curve = curves.end() - 1;
    }
    curve->add(100 * result->*saved, 100 * (result->bpb / of_all - 1));
    curve->error.push_back(50 * (result->bpb_difference.high - result->bpb_difference.low) /
                           of_all);
    curve->notes.push_back(result->*on_front ? result->rule : "");
  }
  return curves;
}

std::string percent(double share) {
  return fmt::format("{:.1f} %", 100 * share);
}

std::string interval_of(const PairedDifference& difference) {
  return fmt::format("{:+.4f} to {:+.4f}", difference.low, difference.high);
}

Json answer(std::string headline, std::string text) {
  return {{"headline", std::move(headline)}, {"text", std::move(text)}};
}

std::string saving_text(const ExitResult& result) {
  return fmt::format(
      "{} with {} saves {} of the FLOPs and {} of the time, for {:+.4f} bits per byte "
      "(95 % interval over documents {})",
      result.rule, result.kv, percent(result.flops_saved_share), percent(result.time_saved_share),
      result.bpb_difference.difference, interval_of(result.bpb_difference));
}

/// How many comparisons of a kind came out which way, and the largest difference.
std::string compared_text(const ExitStudy& study, const std::string& question) {
  int better = 0, worse = 0, open = 0;
  const ExitComparison* largest = nullptr;
  for (const auto& comparison : study.comparisons) {
    if (comparison.question != question) {
      continue;
    }
    const auto& difference = comparison.bpb_difference;
    (!difference.excludes_zero() ? open : difference.difference > 0 ? better : worse) += 1;
    if (largest == nullptr ||
        std::abs(difference.difference) > std::abs(largest->bpb_difference.difference)) {
      largest = &comparison;
    }
  }
  if (largest == nullptr) {
    return "";
  }
  return fmt::format(
             "{} clearly better than {} in {} of {} comparisons, clearly worse in {}. The "
             "largest difference: {} against {} when {}, {:+.4f} bits per byte ({})",
             question == "gate" ? "cdf is" : "The mixture is",
             question == "gate" ? "change or accel" : "the last state", better,
             better + worse + open, worse, largest->b, largest->a,
             largest->where == ExitWhere::kDecode ? "decoding" : "scoring",
             largest->bpb_difference.difference, interval_of(largest->bpb_difference)) +
         ".";
}

Json answers_of(const ExitStudy& study) {
  auto list = Json::array();
  for (const auto where : kPlaces) {
    const auto* cheapest = most_saved(study, where, kHalfPercent, &ExitResult::flops_saved_share);
    const auto* equal = most_saved(study, where, kSamePerplexity, &ExitResult::flops_saved_share);
    list.push_back(answer(fmt::format("Within half a percent, {}", name_of(where)),
                          saving_text(*cheapest) + "."));
    list.push_back(answer(fmt::format("At equal perplexity (0.1 %), {}", name_of(where)),
                          saving_text(*equal) + "."));
  }
  for (const std::string question : {"gate", "hard"}) {
    const auto text = compared_text(study, question);
    if (!text.empty()) {
      list.push_back(answer(question == "gate" ? "The trained gate at equal FLOPs"
                                               : "The hard exit in place of the mixture",
                            text));
    }
  }
  return list;
}

Json rows_of(const ExitStudy& study) {
  auto list = Json::array();
  for (const auto& result : study.results) {
    const double of_all = all_of(study, result.where).bpb;
    list.push_back({{"where", name_of(result.where)},
                    {"rule", result.rule},
                    {"kv", result.kv},
                    {"cells",
                     {fmt::format("{:.4f}", result.bpb),
                      fmt::format("{:+.2f} %", 100 * (result.bpb / of_all - 1)),
                      interval_of(result.bpb_difference), fmt::format("{:.4f}", result.kl),
                      percent(result.top1_agreement), fmt::format("{:.2f}", result.mean_loops),
                      percent(result.flops_saved_share), percent(result.time_saved_share),
                      format_bytes(static_cast<double>(result.kv_bytes_per_token))}}});
  }
  return list;
}

Json comparisons_of(const ExitStudy& study) {
  auto list = Json::array();
  for (const auto& comparison : study.comparisons) {
    list.push_back(
        {{"a", comparison.a},
         {"b", comparison.b},
         {"cells",
          {name_of(comparison.where), fmt::format("{:+.4f}", comparison.bpb_difference.difference),
           interval_of(comparison.bpb_difference),
           fmt::format("{:+.1f} %", 100 * (comparison.flops_b / comparison.flops_a - 1))}}});
  }
  return list;
}

}  // namespace

std::vector<Figure> exit_figures(const ExitStudy& study) {
  Figure time{.id = "time",
              .section = "figures",
              .title = "Quality lost for time saved",
              .caption =
                  "Bits per byte above those of all loops against the wall-clock time saved, "
                  "measured in turns with them. Lower and further right is better; what no "
                  "other result beats in both bears its name.",
              .x_title = "time saved, %",
              .y_title = "bits per byte above all, %",
              .kind = FigureKind::kPoints,
              .error_label = "half of the 95 % interval over documents"};
  auto flops = time;
  flops.id = "flops";
  flops.title = "Quality lost for FLOPs saved";
  flops.caption = "The same against the FLOPs that the skipped loops would have taken.";
  flops.x_title = "FLOPs saved, %";
  for (const auto where : kPlaces) {
    auto by_time =
        curves_of(study, where, &ExitResult::time_saved_share, &ExitResult::on_front_of_time);
    auto by_flops =
        curves_of(study, where, &ExitResult::flops_saved_share, &ExitResult::on_front_of_flops);
    time.series.insert(time.series.end(), by_time.begin(), by_time.end());
    flops.series.insert(flops.series.end(), by_flops.begin(), by_flops.end());
  }
  return {time, flops};
}

std::string exit_page(const ExitStudy& study, const std::string& title, const std::string& lead) {
  Json data = {{"title", title},
               {"lead", lead},
               {"answers", answers_of(study)},
               {"figures", Json::array()},
               {"comparisons", comparisons_of(study)},
               {"columns",
                {"BPB", "to all", "95 % interval", "KL to all", "top 1", "loops", "FLOPs saved",
                 "time saved", "keys and values a token"}},
               {"rows", rows_of(study)}};
  for (const auto& figure : exit_figures(study)) {
    data["figures"].push_back(figure_json(figure, ""));
  }
  const auto text = script_json(data);
  return fill_template(
      kExitHtml, {{"css", kPageCss}, {"data", text}, {"chart_js", kChartJs}, {"page_js", kExitJs}});
}

}  // namespace loopbank
