#pragma once
/// A run's folder: who may write to it, what it already holds, whether a config belongs to it.

#include <filesystem>

#include "loopbank/support/folder_lock.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

/// Holds a run directory for one process. The lock is released with the process, however it ends.
class RunLock : public FolderLock {
 public:
  /// Creates the folder if there is none.
  /// @param patience_seconds  how long a process that trains into it may take to end: ranks that are
  ///   started again may find their predecessors still there
  /// @throws Error kCheckpoint when another process trains into it, or it cannot be written
  explicit RunLock(const std::filesystem::path& out, double patience_seconds = 0.0);
};

/// @throws Error kCheckpoint when the folder holds a run already, naming what was found
void expect_no_run(const std::filesystem::path& out);

/// Whether a stored run.toml describes the run that is asked for now. Keys that decide what is
/// computed must be equal; how often to validate and save, how much to keep and where the
/// validation data is may differ.
/// @throws Error kConfig naming the first key that differs, with both values; kCheckpoint when
///         the stored file cannot be read
void expect_same_run(const std::filesystem::path& stored_config, const RunConfig& config);

/// Removes what a killed process left behind: files under temporary names in the run directory
/// and among its checkpoints. Only while the lock is held.
void remove_leftovers(const std::filesystem::path& out);

}  // namespace loopbank
