#include "loopbank/study/deadline.h"

#include <algorithm>

namespace loopbank {

void Deadline::start(const TimePlan& plan, const TimeChoice& choice) {
  plan_ = plan;
  chosen_ = ChosenSteps{.limit_seconds = plan.limit_seconds,
                        .steps = plan.steps,
                        .steps_of_config = plan.steps_of_config,
                        .left_out = {}};
  for (const auto& system : choice.left_out) {
    leave_out(system);
  }
}

size_t Deadline::rank(const std::string& system) const {
  const auto found = std::find_if(plan_.systems.begin(), plan_.systems.end(),
                                  [&](const SystemTime& time) { return time.system == system; });
  return static_cast<size_t>(found - plan_.systems.begin());
}

bool Deadline::is_too_late_for(const std::string& system) const {
  if (!chosen_ || rank(system) < kAlwaysKept) {
    return false;
  }
  const double slower = expected_ > 0.0 ? taken_ / expected_ : 1.0;
  return seconds_gone() + slower * expected_seconds(system) > limit_seconds_;
}

void Deadline::count_run(const std::string& system, double seconds) {
  if (chosen_) {
    expected_ += expected_seconds(system);
    taken_ += seconds;
  }
}

void Deadline::leave_out(const std::string& system) {
  const auto& label = plan_.find(system)->label;
  auto& labels = chosen_->left_out;
  if (std::find(labels.begin(), labels.end(), label) == labels.end()) {  // once for all seeds
    labels.push_back(label);
  }
}

double Deadline::expected_seconds(const std::string& system) const {
  return plan_.find(system)->seconds_of(plan_.steps);
}

}  // namespace loopbank
