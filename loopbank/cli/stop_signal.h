#pragma once
/// SIGINT and SIGTERM as a request to save and stop, for long commands.

namespace loopbank::cli {

/// From now on the first SIGINT or SIGTERM is recorded; a second one ends the program at once,
/// which costs no more than the steps since the last checkpoint. A file size limit then ends in an
/// error line, as a full disk does.
void watch_signals();

/// The signal that asked the program to stop; 0: none.
[[nodiscard]] int stop_signal();

/// Ends the process as the recorded signal would have, so that the caller sees status 130 or 143.
[[noreturn]] void end_by_signal();

}  // namespace loopbank::cli
