#pragma once
/// A file of a run that grows by whole pieces, each in one write: a killed run leaves at most one torn
/// piece, the last.

#include <filesystem>
#include <string_view>

namespace loopbank {

class AppendedFile {
 public:
  /// Opens the file, or creates it.
  /// @throws Error kCheckpoint
  explicit AppendedFile(std::filesystem::path path);
  ~AppendedFile();
  AppendedFile(const AppendedFile&) = delete;
  AppendedFile& operator=(const AppendedFile&) = delete;

  /// Appends a piece.
  /// @throws Error kCheckpoint on a short write, a full disk included
  void write(std::string_view piece);

  /// Waits until all of it is on the disk.
  /// @throws Error kCheckpoint
  void sync();

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace loopbank
