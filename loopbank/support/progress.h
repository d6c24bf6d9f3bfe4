#pragma once
/// Progress on stderr: one line rewritten in place on a terminal, plain lines in a pipe.

#include <fmt/format.h>

#include <chrono>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>

namespace loopbank {

/// Shows the state of a long job. On a terminal `update` rewrites one line; elsewhere it prints at
/// most one line per `plain_interval` (and always the last one, through `finish`).
class Progress {
 public:
  explicit Progress(std::chrono::seconds plain_interval = std::chrono::seconds(10));
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::string_view line);
  /// Ends the line in place, so that what is printed next starts on its own line.
  void finish();

  [[nodiscard]] bool on_terminal() const { return on_terminal_; }

 private:
  using Clock = std::chrono::steady_clock;
  void show();

  bool on_terminal_;
  Clock::duration plain_interval_;
  std::optional<Clock::time_point> last_shown_;
  std::string pending_;  // a line that was not shown yet
  bool line_open_ = false;
};

/// `1:02:03` or `2:03`, for a remaining time.
[[nodiscard]] std::string format_duration(double seconds);

/// `40 s`, `12 min`, `1 h 5 min`, `2 d 3 h`: about how long something will take.
[[nodiscard]] std::string format_time_left(double seconds);

/// `162.2 M`, `1.3 k`, `2.91 G`: three significant digits or one decimal.
[[nodiscard]] std::string format_count(double count);

/// `4.6 GB`, `12.0 MB`; decimal units.
[[nodiscard]] std::string format_bytes(double bytes);

/// `1 loop`, `3 loops`.
[[nodiscard]] std::string plural(std::integral auto count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace loopbank
