#include "loopbank/study/time_limit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "loopbank/study/systems.h"
#include "loopbank/support/error.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

std::vector<std::string> labels_of(const TimePlan& plan, const std::vector<std::string>& names) {
  std::vector<std::string> labels;
  for (const auto& name : names) {
    labels.push_back(plan.find(name)->label);
  }
  return labels;
}

/// `IsoPar 0:18, Loop-3 0:33`: a run of each system that is not done.
std::string seconds_by_system(const TimeReport& report) {
  std::vector<std::string> texts;
  for (const auto& name : report.choice.systems) {
    const auto& time = *report.plan.find(name);
    if (time.runs > 0) {
      texts.push_back(
          fmt::format("{} {}", time.label, format_duration(time.seconds_of(report.choice.steps))));
    }
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

/// What all of it would take, and what is done instead.
std::string describe_choice(const TimeReport& report) {
  const auto& choice = report.choice;
  const auto limit = format_duration(report.limit_seconds);
  const auto& first = report.plan.systems.front();
  auto text = fmt::format("This machine trains {} at {} tokens/s: {} of {} steps would take {}.\n",
                          first.label, format_count(first.tokens_a_step / first.seconds_a_step),
                          plural(choice.systems.size() + choice.left_out.size(), "system"),
                          report.budget.most_steps, format_duration(choice.seconds_with_all));
  if (!choice.fits(report.budget)) {
    return text + fmt::format(
                      "That does not fit into {}, and neither do {} steps of {} alone, the "
                      "fewest:",
                      limit, choice.steps,
                      fmt::join(labels_of(report.plan, choice.systems), " and "));
  }
  if (choice.steps == report.budget.most_steps && choice.left_out.empty()) {
    return text + fmt::format("That fits into {}:", limit);
  }
  return text +
         fmt::format("{} steps of {} fit into {}:", choice.steps,
                     choice.left_out.empty() ? "each" : plural(choice.systems.size(), "system"),
                     limit);
}

}  // namespace

std::string describe(const TimeReport& report) {
  using From = TimeReport::Origin;
  if (report.origin == From::kUnlimited) {
    return fmt::format("The study was started without a time limit and keeps its {} steps.",
                       report.plan.steps);
  }
  auto text = report.origin == From::kMeasured
                  ? describe_choice(report)
                  : fmt::format(
                        "The study goes on with the {} of {} steps that were chosen when it "
                        "was started:",
                        report.plan.steps, report.plan.steps_of_config);
  const auto seconds = seconds_by_system(report);
  text += seconds.empty()
              ? " all runs are done."
              : fmt::format(" {}; about {} in all, {} at a time.", seconds,
                            format_duration(report.choice.seconds), report.budget.at_once);
  if (!report.choice.left_out.empty()) {
    text += fmt::format("\nLeft out for lack of time: {}.",
                        fmt::join(labels_of(report.plan, report.choice.left_out), ", "));
  }
  return text;
}

void check_time_limit(const StudyConfig& config) {
  for (const auto& system : study_systems(config)) {
    if (system.run.training.steps != config.run.training.steps) {
      fail(ErrorCode::kConfig,
           "study: expected --time-limit with as many steps for all systems, got training.steps = "
           "{} for {} and {} for the others. Leave out one of the two.",
           system.run.training.steps, system.name, config.run.training.steps);
    }
  }
}

void expect_same_plan(const std::filesystem::path& study, const TimePlan& plan,
                      const StudyConfig& config, bool has_limit) {
  const auto steps = config.run.training.steps;
  if (plan.steps_of_config != steps) {
    fail(ErrorCode::kConfig,
         "{}: expected training.steps = {}, from which {} were chosen when the study was started, "
         "got {}. Continue the study as it was started or choose another --out.",
         study.string(), plan.steps_of_config, plan.steps, steps);
  }
  if (!has_limit && plan.steps < plan.steps_of_config) {
    fail(ErrorCode::kConfig,
         "{}: expected --time-limit, with which the study was started and {} of {} steps were "
         "chosen, got none. Go on with it, or choose another --out to train {} steps.",
         study.string(), plan.steps, steps, steps);
  }
}

bool holds_runs(const std::filesystem::path& study) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(study, ignored)) {
    const auto& path = entry.path();
    if (path.filename() == "run.toml" && path.parent_path().parent_path().filename() == "systems") {
      return true;
    }
  }
  return false;
}

void take_steps(StudyConfig& config, const TimePlan& plan) {
  auto& training = config.run.training;
  training.steps = plan.steps;
  training.validate_every =
      scaled_interval(training.validate_every, plan.steps, plan.steps_of_config);
  training.checkpoint_every =
      scaled_interval(training.checkpoint_every, plan.steps, plan.steps_of_config);
}

}  // namespace loopbank
