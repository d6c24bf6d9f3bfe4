#pragma once
/// What every command shares: how many threads compute, with which kernels, and how much is printed
/// on stderr.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

namespace loopbank::cli {

/// Settings common to all commands, set by the parser before the command runs.
struct RuntimeSettings {
  int64_t threads = 0;  ///< threads that compute; 0: LOOPBANK_THREADS, OMP_NUM_THREADS, all cores
  std::string kernels = "fused";  ///< or "reference": every op as plain ATen
  bool quiet = false;             ///< only warnings and errors on stderr, no progress
};

/// Declares --threads, --kernels and --quiet on the program; they are accepted after a command's
/// name as well.
void add_runtime_flags(CLI::App& app);

/// The settings of this process, as the flags left them.
[[nodiscard]] const RuntimeSettings& runtime_settings();

/// Counts documents that a command left out because it was allowed to (--skip-bad).
void note_skipped_lines(int64_t num_lines);

/// The status of a command that ended well: 0, or 8 where documents were left out.
[[nodiscard]] int end_status();

/// Cores that this process may use: those of its affinity mask, limited by the quota of its control
/// group. At least 1.
[[nodiscard]] int available_cores();

}  // namespace loopbank::cli
