#pragma once
/// One process at a time in a folder.

#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include "loopbank/support/error.h"

namespace loopbank {

/// Holds a folder for one process, by a lock on its file `.lock`. The lock is released with the
/// process, however it ends; on a file system without locks, nothing is held.
class FolderLock {
 public:
  /// Creates the folder if there is none.
  /// @param use  what a process does in the folder, for the error: "trains"
  /// @throws Error `code` when another process holds the folder, or it cannot be written
  FolderLock(const std::filesystem::path& folder, std::string_view use, ErrorCode code);
  /// The same without waiting or failing: null when another process holds the folder.
  /// @throws Error `code` when it cannot be written
  [[nodiscard]] static std::unique_ptr<FolderLock> try_hold(const std::filesystem::path& folder,
                                                            ErrorCode code);
  /// The same, waiting until no other process holds the folder; null if `should_stop` returned true
  /// before that.
  /// @throws Error `code` when it cannot be written
  [[nodiscard]] static std::unique_ptr<FolderLock> wait_to_hold(
      const std::filesystem::path& folder, ErrorCode code,
      const std::function<bool()>& should_stop = {});
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}

  int descriptor_ = -1;
};

}  // namespace loopbank
