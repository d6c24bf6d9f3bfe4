#pragma once
/// SIGINT and SIGTERM as a wish to save and stop, for commands that take long.

namespace loopbank::cli {

/// From here on the first SIGINT or SIGTERM is noted; a second one ends the program at once, which
/// costs no more than the steps since the last checkpoint. A file size limit then ends in an error
/// line, as a full disk does.
void watch_signals();

/// The signal that asked to stop; 0: none.
[[nodiscard]] int stop_signal();

/// Ends as a program that the noted signal ended, with which the caller's status is 130 or 143.
[[noreturn]] void end_by_signal();

}  // namespace loopbank::cli
