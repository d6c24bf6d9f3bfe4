#include "loopbank/study/time_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "loopbank/support/files.h"
#include "loopbank/support/json_members.h"
#include "loopbank/support/progress.h"
#include "loopbank/support/rounding.h"

namespace loopbank {
namespace {

/// The first four compare loops, memory and depth; eight of them are all that the paper's findings
/// need (study/comparison.cpp).
constexpr std::array<std::string_view, 10> kKeptLongest = {
    "isopar", "loop3",     "mem-g3",  "isoflop", "isopar-m",
    "loop7",  "isoflop-m", "mem-gm3", "loop5",   "mem-g0"};
/// Of so many steps of the study's own one stays at least.
constexpr int64_t kStepsToOneLeft = 2;
constexpr const char* kTimePlanFile = "time_plan.json";

/// The most steps of the budget that end in time, or the fewest.
int64_t most_that_fit(const std::vector<SystemTime>& systems, const TimeBudget& budget) {
  int64_t low = budget.least_steps;
  int64_t high = std::max(budget.least_steps, budget.most_steps);
  while (low < high) {
    const int64_t middle = high - (high - low) / 2;
    if (seconds_together(systems, middle, budget.at_once) <= budget.seconds) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace

std::vector<std::string> keep_order(const std::vector<std::string>& systems) {
  std::vector<std::string> order;
  for (const auto name : kKeptLongest) {
    if (std::find(systems.begin(), systems.end(), name) != systems.end()) {
      order.emplace_back(name);
    }
  }
  for (const auto& name : systems) {
    if (std::find(order.begin(), order.end(), name) == order.end()) {
      order.push_back(name);
    }
  }
  return order;
}

int64_t least_steps_of(int64_t steps) {
  return divide_up(steps, kStepsToOneLeft);
}

double seconds_together(const std::vector<SystemTime>& systems, int64_t steps, int64_t at_once) {
  std::vector<double> workers(static_cast<size_t>(std::max<int64_t>(1, at_once)), 0.0);
  int64_t most_runs = 0;
  for (const auto& system : systems) {
    most_runs = std::max(most_runs, system.runs);
  }
  for (int64_t seed = 0; seed < most_runs; ++seed) {
    for (const auto& system : systems) {
      if (seed < system.runs) {
        *std::min_element(workers.begin(), workers.end()) += system.seconds_of(steps);
      }
    }
  }
  return *std::max_element(workers.begin(), workers.end());
}

TimeChoice choose_steps(const std::vector<SystemTime>& systems, const TimeBudget& budget) {
  TimeChoice choice;
  choice.seconds_with_all = seconds_together(systems, budget.most_steps, budget.at_once);
  auto kept = systems;
  for (auto last = systems.size(); last-- > kAlwaysKept;) {
    if (seconds_together(kept, budget.least_steps, budget.at_once) <= budget.seconds) {
      break;
    }
    if (systems[last].runs > 0) {  // what is done costs nothing
      kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(last));
      choice.left_out.insert(choice.left_out.begin(), systems[last].system);
    }
  }
  for (const auto& system : kept) {
    choice.systems.push_back(system.system);
  }
  choice.steps = most_that_fit(kept, budget);
  choice.seconds = seconds_together(kept, choice.steps, budget.at_once);
  return choice;
}

const SystemTime* TimePlan::find(const std::string& system) const {
  const auto found = std::find_if(systems.begin(), systems.end(),
                                  [&](const SystemTime& time) { return time.system == system; });
  return found == systems.end() ? nullptr : &*found;
}

void members(auto& by, Either<SystemTime> auto& time) {
  by("system", time.system);
  by("label", time.label);
  by("tokens_a_step", time.tokens_a_step);
  by("seconds_a_step", time.seconds_a_step);
  by("rest_seconds", time.rest_seconds);
}

void members(auto& by, Either<TimePlan> auto& plan) {
  by("limit_seconds", plan.limit_seconds);
  by("steps", plan.steps);
  by("steps_of_config", plan.steps_of_config);
  by.list("systems", plan.systems);
}

std::optional<TimePlan> read_time_plan(const std::filesystem::path& study) {
  static const MembersForm kForm = {.expected = "the steps that were chosen for the study's time",
                                    .remedy = "Choose another --out to choose anew.",
                                    .all = true};
  return read_members_file<TimePlan>(study / kTimePlanFile, kForm);
}

void write_time_plan(const std::filesystem::path& study, const TimePlan& plan) {
  write_file_atomically(study / kTimePlanFile, JsonWriter::write(plan).dump(2) + "\n");
}

int64_t scaled_interval(int64_t every, int64_t steps, int64_t of) {
  return every == 0 ? 0 : std::max<int64_t>(1, divide_up(every * steps, of));
}

std::string note_on(const ChosenSteps& chosen) {
  if (!chosen.is_cut()) {
    return "";
  }
  auto text =
      fmt::format("Steps were chosen for the time available ({}): {} of {}.",
                  format_duration(chosen.limit_seconds), chosen.steps, chosen.steps_of_config);
  if (chosen.steps < chosen.steps_of_config) {
    text += " Fewer steps teach less: scores and verdicts may change with more training.";
  }
  if (!chosen.left_out.empty()) {
    text += fmt::format(" Left out for lack of time: {}.", fmt::join(chosen.left_out, ", "));
  }
  return text;
}

}  // namespace loopbank
