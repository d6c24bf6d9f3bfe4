#include "loopbank/infer/pace.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace loopbank {
namespace {

constexpr double kKeepsPlain = 0.9;    // of what is known of t(n), at each further pass
constexpr double kKeepsPrompts = 0.8;  // and of per_prompt
constexpr int64_t kPassesToPlain = 15;
constexpr int64_t kFirstRoom = 8;
constexpr double kMostOfExpected = 4.0;  // a pass that took longer was held up by something else
constexpr double kLeastSpread = 0.01;    // of n, squared and relative, that shows a slope

}  // namespace

double Pace::seconds_of(int64_t texts) const {
  if (plain_.weight == 0.0) {
    return 0.0;
  }
  const double n = plain_.n / plain_.weight;
  const double t = plain_.t / plain_.weight;
  const double spread = plain_.nn / plain_.weight - n * n;
  double slope = t / n;
  if (spread > kLeastSpread * n * n) {
    // Neither less with more rows, nor less than nothing with none.
    slope = std::clamp((plain_.nt / plain_.weight - n * t) / spread, 0.0, slope);
  }
  return t + slope * (static_cast<double>(texts) - n);
}

int64_t Pace::room(int64_t texts) {
  if (std::isinf(stretch_)) {
    return std::numeric_limits<int64_t>::max();
  }
  if (since_plain_ >= kPassesToPlain || plain_.weight == 0.0) {
    return 0;
  }
  // At most twice what the last pass had: what was learned from few rows says little of many.
  const auto most = std::max(2 * last_room_, kFirstRoom);
  last_room_ = most;
  if (prompt_rows_ > 0.0 && prompt_seconds_ > 0.0) {
    const double rows = (stretch_ - 1.0) * seconds_of(texts) * prompt_rows_ / prompt_seconds_;
    last_room_ = std::clamp<int64_t>(static_cast<int64_t>(std::min(rows, 1e9)), 1, most);
  }
  return last_room_;
}

void Pace::add(int64_t texts, int64_t prompts, double seconds) {
  if (texts == 0) {
    return;
  }
  const double expected = seconds_of(texts);
  if (prompts == 0) {
    since_plain_ = 0;
    const double t = expected > 0.0 ? std::min(seconds, kMostOfExpected * expected) : seconds;
    const auto n = static_cast<double>(texts);
    plain_.weight = kKeepsPlain * plain_.weight + 1.0;
    plain_.n = kKeepsPlain * plain_.n + n;
    plain_.nn = kKeepsPlain * plain_.nn + n * n;
    plain_.t = kKeepsPlain * plain_.t + t;
    plain_.nt = kKeepsPlain * plain_.nt + n * t;
    return;
  }
  ++since_plain_;
  const auto p = static_cast<double>(prompts);
  double beyond = std::max(seconds - expected, 0.0);
  if (prompt_rows_ > 0.0) {
    beyond = std::min(beyond, kMostOfExpected * p * prompt_seconds_ / prompt_rows_ + expected);
  }
  prompt_rows_ = kKeepsPrompts * prompt_rows_ + p;
  prompt_seconds_ = kKeepsPrompts * prompt_seconds_ + beyond;
}

}  // namespace loopbank
