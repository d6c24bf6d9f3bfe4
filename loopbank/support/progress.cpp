#include "loopbank/support/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string>

#include "loopbank/support/terminal.h"

namespace loopbank {
namespace {

constexpr std::chrono::milliseconds kTerminalInterval{100};

std::string scale(double value, const std::array<const char*, 5>& units) {
  size_t unit = 0;
  // The limits are those of the rounded value, so that 999960 is 1.0 M and not 1000.0 k.
  while (std::abs(value) >= (unit == 0 ? 999.5 : 999.95) && unit + 1 < units.size()) {
    value /= 1000.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f}{}", value, units[unit])
                   : fmt::format("{:.1f}{}", value, units[unit]);
}

}  // namespace

Progress::Progress(std::chrono::seconds plain_interval)
    : on_terminal_(::isatty(STDERR_FILENO) == 1), plain_interval_(plain_interval) {}

Progress::~Progress() {
  finish();
}

void Progress::update(std::string_view line) {
  pending_ = line;
  const auto interval = on_terminal_ ? Clock::duration(kTerminalInterval) : plain_interval_;
  const auto now = Clock::now();
  if (!last_shown_ || now - *last_shown_ >= interval) {
    last_shown_ = now;
    show();
  }
}

void Progress::show() {
  if (on_terminal_) {
    pending_.resize(std::min(pending_.size(), terminal_size(stderr).columns - 1));
    fmt::print(stderr, "\r\033[K{}", pending_);
    std::fflush(stderr);
    line_open_ = true;
  } else {
    fmt::print(stderr, "{}\n", pending_);
  }
  pending_.clear();
}

void Progress::finish() {
  if (!pending_.empty()) {
    show();
  }
  if (line_open_) {
    fmt::print(stderr, "\n");
    line_open_ = false;
  }
}

std::string format_duration(double seconds) {
  const auto total = static_cast<long>(std::lround(std::max(0.0, seconds)));
  const long hours = total / 3600;
  const long minutes = total / 60 % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60)
                   : fmt::format("{}:{:02}", minutes, total % 60);
}

std::string format_time_left(double seconds) {
  const auto total = std::lround(std::max(0.0, seconds));
  const auto minutes = std::lround(std::max(0.0, seconds) / 60.0);
  if (total < 90) {
    return fmt::format("{} s", total);
  }
  if (minutes < 60) {
    return fmt::format("{} min", minutes);
  }
  const auto hours = std::lround(std::max(0.0, seconds) / 3600.0);
  return minutes < 24 * 60 ? fmt::format("{} h {} min", minutes / 60, minutes % 60)
                           : fmt::format("{} d {} h", hours / 24, hours % 24);
}

std::string format_count(double count) {
  return scale(count, {"", " k", " M", " G", " T"});
}

std::string format_bytes(double bytes) {
  return scale(bytes, {" B", " kB", " MB", " GB", " TB"});
}

}  // namespace loopbank
