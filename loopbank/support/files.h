#pragma once
/// Files that survive: whole reads with a clear error, atomic writes, mapped files.
///
/// Not here: compressed text (data/text_reader.h), formats (model/weights.h, data/token_file.h).

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "loopbank/support/error.h"

namespace loopbank {

/// The whole file as bytes. Throws Error `code` with the path and the system's reason, or when it
/// holds more than `most` bytes.
[[nodiscard]] std::string read_file(const std::filesystem::path& path,
                                    ErrorCode code = ErrorCode::kData, size_t most = SIZE_MAX);

/// Writes a file so that at every instant either the old or the new content is there: a
/// temporary file in the same folder, fsync, rename, fsync of the folder. Throws Error `code` (a
/// full disk included) and leaves the old content as it was.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes,
                           ErrorCode code = ErrorCode::kData);

/// Writes files of one folder, by name, each as write_file_atomically does. The folder is fsynced
/// once, after the last.
void write_files_atomically(const std::filesystem::path& folder,
                            const std::map<std::string, std::string>& files,
                            ErrorCode code = ErrorCode::kData);

/// A file being written front to back; `close` fsyncs. Every call throws on a short write, and
/// what was written without `close` may be lost.
class FileWriter {
 public:
  explicit FileWriter(std::filesystem::path path, ErrorCode code = ErrorCode::kData);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(std::string_view bytes);
  void write(const void* bytes, size_t num_bytes);
  /// Replaces bytes that were written before, such as a header whose counts came last.
  void write_at(uint64_t offset, std::string_view bytes);
  [[nodiscard]] uint64_t bytes_written() const { return bytes_written_; }
  /// @param syncs  false where a later fsync of the file is sure
  void close(bool syncs = true);

 private:
  friend class AtomicFile;
  /// Takes the descriptor; `name` is what errors call its file.
  FileWriter(int descriptor, std::filesystem::path name, ErrorCode code);
  void flush();

  std::filesystem::path name_;
  ErrorCode code_;
  int descriptor_ = -1;
  uint64_t bytes_written_ = 0;
  std::string buffer_;
};

/// A file too large to hold that appears whole or not at all: it is written beside its
/// destination, `commit` fsyncs it and renames it into place. Without `commit` the destructor
/// removes what was written.
class AtomicFile {
 public:
  /// @throws Error `code`, also where the destination is there and no regular file: a rename would
  ///   put a file in the place of a device or a pipe
  explicit AtomicFile(std::filesystem::path destination, ErrorCode code = ErrorCode::kData);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  [[nodiscard]] FileWriter& writer() { return writer_; }
  void commit();

 private:
  friend void write_files_atomically(const std::filesystem::path&,
                                     const std::map<std::string, std::string>&, ErrorCode);
  /// `commit` without the fsync of the folder.
  void put_in_place();

  std::filesystem::path destination_;
  std::filesystem::path temporary_;
  ErrorCode code_;
  bool syncs_;
  FileWriter writer_;
  bool committed_ = false;
};

/// A directory that appears whole or not at all: files are written under `path()`, `commit`
/// fsyncs them and renames the directory into place, replacing an older one. Atomic files under
/// `path()` are therefore not fsynced one by one. Without `commit` the destructor removes what was
/// written. A file system that cannot exchange two folders (NFS) is without either for the instant
/// between two renames.
class AtomicDirectory {
 public:
  explicit AtomicDirectory(std::filesystem::path destination,
                           ErrorCode code = ErrorCode::kCheckpoint);
  ~AtomicDirectory();
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return temporary_; }
  void commit();

 private:
  void replace();

  std::filesystem::path destination_;
  std::filesystem::path temporary_;
  ErrorCode code_;
  bool committed_ = false;
};

/// A file mapped for the lifetime of the object.
class MappedFile {
 public:
  /// kCopyOnWrite: the bytes may be changed in memory, which the file never sees.
  enum class Access { kRead, kCopyOnWrite };

  explicit MappedFile(const std::filesystem::path& path, ErrorCode code = ErrorCode::kData,
                      Access access = Access::kRead);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Removes what a killed process left behind: files and folders under the temporary names of atomic
/// writes to `prefix`... in this folder. Only where no other process writes such.
void remove_temporaries(const std::filesystem::path& folder, std::string_view prefix = "");

/// Creates a folder and its parents, and fsyncs the folders that got a new entry. Throws Error
/// `code`.
void create_directories(const std::filesystem::path& path, ErrorCode code = ErrorCode::kData);

}  // namespace loopbank
