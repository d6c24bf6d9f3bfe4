#include "loopbank/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace loopbank {
namespace {

/// From `start` at fraction 0 to `end` at fraction 1, flat at both.
double cosine_between(double start, double end, double fraction) {
  return end + (start - end) / 2.0 * (1.0 + std::cos(std::numbers::pi * fraction));
}

double line_between(double start, double end, double fraction) {
  return start + (end - start) * fraction;
}

double one_cycle(const ScheduleConfig& schedule, double s, double steps) {
  const double last = steps - 1.0;
  const double peak = std::clamp(schedule.warmup_fraction * steps - 1.0, 0.0, last);
  if (s < peak) {
    return cosine_between(schedule.initial_rate, schedule.peak_rate, s / peak);
  }
  return last > peak
             ? cosine_between(schedule.peak_rate, schedule.final_rate, (s - peak) / (last - peak))
             : schedule.peak_rate;
}

double warmup_stable_decay(const ScheduleConfig& schedule, double s, double steps) {
  const double warmup = schedule.warmup_fraction * steps;
  const double decay = schedule.decay_fraction * steps;
  const double remaining = steps - 1.0 - s;
  if (s < warmup && warmup >= 1.0) {
    return line_between(schedule.initial_rate, schedule.peak_rate, s / warmup);
  }
  if (remaining < decay && decay >= 1.0) {
    return line_between(schedule.final_rate, schedule.peak_rate, remaining / decay);
  }
  return schedule.peak_rate;
}

}  // namespace

double learning_rate_at(const ScheduleConfig& schedule, int64_t step, int64_t steps) {
  const auto s = static_cast<double>(step - 1);
  const auto count = static_cast<double>(steps);
  return schedule.name == "one_cycle" ? one_cycle(schedule, s, count)
                                      : warmup_stable_decay(schedule, s, count);
}

double ponder_weight_at(double ponder_weight, double warmup_fraction, int64_t step, int64_t steps) {
  const double warmup = warmup_fraction * static_cast<double>(steps);
  return warmup > 0.0 ? ponder_weight * std::min(1.0, static_cast<double>(step - 1) / warmup)
                      : ponder_weight;
}

}  // namespace loopbank
