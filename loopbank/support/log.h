#pragma once
/// Messages to people: always on stderr, so that stdout holds only results.

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace loopbank {

enum class LogLevel { kQuiet, kWarning, kInfo };

/// What is shown from now on; kInfo at start.
void set_log_level(LogLevel level);

/// Whether each message first erases the terminal from the cursor's line on: lines that are rewritten
/// in place stand there (progress_board.h).
void set_log_erases_below(bool erases);

void log_info_text(std::string_view message);
void log_warning_text(std::string_view message);

template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_info_text(fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_warning_text(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace loopbank
