#include "loopbank/study/study_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

constexpr double kDrawSeconds = 0.1;
constexpr size_t kBarWidth = 24;
constexpr size_t kLabelWidth = 24;
constexpr double kNewestShare = 0.1;  // of the last step in the shown speed

}  // namespace

std::string line_of(const ShownRun& run, const StepMetrics& last, double tokens_per_second) {
  const auto begin =
      fmt::format("{:<{}} {}", run.label, kLabelWidth, progress_bar(run.time.share, kBarWidth));
  if (last.step == 0) {
    return begin + "  starting";
  }
  if (last.step >= run.steps) {
    return begin + fmt::format("  scoring  loss {:.3f}", last.loss);
  }
  return begin + fmt::format(" {:3.0f} %  step {}/{}  loss {:.3f}  {} tokens/s",
                             100.0 * run.time.share, last.step, run.steps, last.loss,
                             format_count(tokens_per_second));
}

std::string line_of_study(const std::vector<ShownRun>& runs, std::optional<double> seconds_left) {
  int64_t done = 0;
  int64_t wanted = 0;
  double shares = 0.0;
  for (const auto& run : runs) {
    if (run.time.state != RunTime::State::kLeftOut) {
      done += run.time.state == RunTime::State::kDone ? 1 : 0;
      ++wanted;
      shares += run.time.share;
    }
  }
  auto line = fmt::format(
      "{:<{}} {}", fmt::format("{} of {}", done, plural(wanted, "run")), kLabelWidth,
      progress_bar(shares / static_cast<double>(std::max<int64_t>(1, wanted)), kBarWidth));
  if (seconds_left) {
    line += "  time left " + format_time_left(*seconds_left);
  }
  return line;
}

StudyProgress::StudyProgress(bool shows) {
  if (shows && ::isatty(STDERR_FILENO) == 1) {
    board_.emplace();
  }
}

void StudyProgress::start(std::vector<ShownRun> runs, int64_t at_once) {
  const std::lock_guard lock(mutex_);
  runs_ = std::move(runs);
  in_work_.clear();
  at_once_ = at_once;
}

void StudyProgress::begin(size_t run) {
  const std::lock_guard lock(mutex_);
  runs_.at(run).time.state = RunTime::State::kInWork;
  in_work_.push_back({.run = run});
  draw();
}

void StudyProgress::step(size_t run, const StepMetrics& step, int64_t steps) {
  const std::lock_guard lock(mutex_);
  auto* work = find(run);
  if (work == nullptr) {
    return;
  }
  if (work->first_step == 0) {
    work->first_step = step.step;
  }
  if (step.tokens_per_second > 0.0) {
    const double seconds = 1.0 / step.tokens_per_second;
    work->seconds_a_token =
        work->seconds_a_token == 0.0
            ? seconds
            : work->seconds_a_token + kNewestShare * (seconds - work->seconds_a_token);
  }
  work->last = step;
  auto& shown = runs_.at(run);
  shown.steps = steps;  // of a baseline in equal time, known by now
  shown.time.seconds = work->watch.seconds();
  shown.time.share = static_cast<double>(step.step) / static_cast<double>(steps);
  shown.time.share_here =
      static_cast<double>(step.step - work->first_step + 1) / static_cast<double>(steps);
  if (since_drawn_.seconds() >= kDrawSeconds) {
    draw();
  }
}

void StudyProgress::end(size_t run, double seconds) {
  const std::lock_guard lock(mutex_);
  std::erase_if(in_work_, [&](const InWork& work) { return work.run == run; });
  auto& time = runs_.at(run).time;
  time.state = RunTime::State::kDone;
  time.seconds = seconds;
  time.share = 1.0;
  draw();
}

void StudyProgress::leave_out(size_t run) {
  const std::lock_guard lock(mutex_);
  runs_.at(run).time.state = RunTime::State::kLeftOut;
}

void StudyProgress::finish() {
  const std::lock_guard lock(mutex_);
  if (board_) {
    board_->finish();
  }
}

std::optional<double> StudyProgress::time_left() const {
  const std::lock_guard lock(mutex_);
  return seconds_left(times(), at_once_);
}

std::vector<RunTime> StudyProgress::times() const {
  std::vector<RunTime> times;
  for (const auto& run : runs_) {
    times.push_back(run.time);
  }
  return times;
}

StudyProgress::InWork* StudyProgress::find(size_t run) {
  const auto found = std::find_if(in_work_.begin(), in_work_.end(),
                                  [&](const InWork& work) { return work.run == run; });
  return found == in_work_.end() ? nullptr : &*found;
}

void StudyProgress::draw() {
  if (!board_) {
    return;
  }
  std::vector<std::string> lines;
  for (const auto& work : in_work_) {
    const double speed = work.seconds_a_token > 0.0 ? 1.0 / work.seconds_a_token : 0.0;
    lines.push_back(line_of(runs_[work.run], work.last, speed));
  }
  lines.push_back(line_of_study(runs_, seconds_left(times(), at_once_)));
  board_->show(std::move(lines));
  since_drawn_ = {};
}

}  // namespace loopbank
