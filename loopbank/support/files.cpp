#include "loopbank/support/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr size_t kWriteBufferBytes = size_t{1} << 20;

[[noreturn]] void fail_with_errno(ErrorCode code, const fs::path& path, std::string_view action) {
  const int reason = errno;
  const bool full = reason == ENOSPC || reason == EDQUOT;
  const char* remedy = full ? " Free some disk space; nothing saved before is lost." : "";
  fail(code, "{}: cannot {}: {}.{}", path.string(), action, std::strerror(reason), remedy);
}

void sync_path(const fs::path& path, ErrorCode code) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    fail_with_errno(code, path, "open");
  }
  // EINVAL: a file system whose folders cannot be synced.
  if (::fsync(descriptor) != 0 && errno != EINVAL) {
    const int reason = errno;
    ::close(descriptor);
    errno = reason;
    fail_with_errno(code, path, "fsync");
  }
  ::close(descriptor);
}

fs::path parent_of(const fs::path& path) {
  const auto parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

/// Refuses a path at which something of another kind stands.
void expect_kind(const fs::path& path, mode_t kind, ErrorCode code) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && (status.st_mode & S_IFMT) != kind) {
    fail(code, "{}: expected {} or nothing of that name, got {}.", path.string(),
         kind == S_IFDIR ? "a folder" : "a regular file",
         S_ISDIR(status.st_mode)   ? "a folder"
         : S_ISREG(status.st_mode) ? "a regular file"
                                   : "a device, pipe or socket");
  }
}

/// Calls `create(name)` with names beside `path` until it makes one that was not there. Process ids
/// alone do not tell two containers apart that share a disk, nor a process from a dead one.
template <typename Create>
fs::path create_beside(const fs::path& path, ErrorCode code, const Create& create) {
  static std::atomic<int> counter{0};
  while (true) {
    auto name = parent_of(path) /
                fmt::format(".{}.tmp-{}-{}", path.filename().string(), ::getpid(), counter++);
    if (create(name)) {
      return name;
    }
    if (errno != EEXIST) {
      fail_with_errno(code, path, "create");
    }
  }
}

int create_file_beside(const fs::path& path, fs::path& name, ErrorCode code) {
  expect_kind(path, S_IFREG, code);
  int descriptor = -1;
  name = create_beside(path, code, [&](const fs::path& candidate) {
    descriptor = ::open(candidate.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    return descriptor >= 0;
  });
  return descriptor;
}

void rename_into_place(const fs::path& from, const fs::path& to, ErrorCode code) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    fail_with_errno(code, to, "rename the finished file into place");
  }
}

/// The folders that this process is still to commit. What is written in one of them needs no fsync
/// of its own: the commit syncs all of it, and before that the folder counts for nothing.
class UncommittedFolders {
 public:
  void add(const fs::path& folder) {
    const std::lock_guard lock(mutex_);
    folders_.insert(folder / "");
  }
  void remove(const fs::path& folder) {
    const std::lock_guard lock(mutex_);
    folders_.erase(folder / "");
  }
  [[nodiscard]] bool contain(const fs::path& file) {
    const std::lock_guard lock(mutex_);
    return std::any_of(folders_.begin(), folders_.end(), [&](const fs::path& folder) {
      return file.native().starts_with(folder.native());
    });
  }

 private:
  std::mutex mutex_;
  std::set<fs::path> folders_;  // each ends in a slash
};

UncommittedFolders& uncommitted_folders() {
  static UncommittedFolders folders;
  return folders;
}

}  // namespace

std::string read_file(const fs::path& path, ErrorCode code, size_t most) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    fail_with_errno(code, path, "open");
  }
  std::string content;
  std::string chunk(kWriteBufferBytes, '\0');
  while (content.size() <= most) {
    const ssize_t count = ::read(descriptor, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      ::close(descriptor);
      fail_with_errno(code, path, "read");
    }
    if (count == 0) {
      break;
    }
    content.append(chunk.data(), static_cast<size_t>(count));
  }
  ::close(descriptor);
  if (content.size() > most) {
    fail(code, "{}: expected a file of at most {} bytes, got a larger one.", path.string(), most);
  }
  return content;
}

void write_file_atomically(const fs::path& path, std::string_view bytes, ErrorCode code) {
  AtomicFile file(path, code);
  file.writer().write(bytes);
  file.commit();
}

void write_files_atomically(const fs::path& folder, const std::map<std::string, std::string>& files,
                            ErrorCode code) {
  for (const auto& [name, bytes] : files) {
    AtomicFile file(folder / name, code);
    file.writer().write(bytes);
    file.put_in_place();
  }
  sync_path(folder, code);
}

FileWriter::FileWriter(fs::path path, ErrorCode code)
    : FileWriter(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), path, code) {
}

FileWriter::FileWriter(int descriptor, fs::path name, ErrorCode code)
    : name_(std::move(name)), code_(code), descriptor_(descriptor) {
  if (descriptor_ < 0) {
    fail_with_errno(code_, name_, "create");
  }
  buffer_.reserve(kWriteBufferBytes);
}

FileWriter::~FileWriter() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

void FileWriter::write(const void* bytes, size_t num_bytes) {
  write(std::string_view(static_cast<const char*>(bytes), num_bytes));
}

void FileWriter::write(std::string_view bytes) {
  bytes_written_ += bytes.size();
  while (!bytes.empty()) {
    const size_t room = kWriteBufferBytes - buffer_.size();
    const size_t count = std::min(room, bytes.size());
    buffer_.append(bytes.substr(0, count));
    bytes.remove_prefix(count);
    if (buffer_.size() == kWriteBufferBytes) {
      flush();
    }
  }
}

void FileWriter::write_at(uint64_t offset, std::string_view bytes) {
  flush();
  while (!bytes.empty()) {
    const ssize_t count =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      fail_with_errno(code_, name_, "write");
    }
    offset += static_cast<uint64_t>(count);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

void FileWriter::flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t count = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      fail_with_errno(code_, name_, "write");
    }
    done += static_cast<size_t>(count);
  }
  buffer_.clear();
}

void FileWriter::close(bool syncs) {
  flush();
  // EINVAL: a pipe or a device, which has nothing to sync.
  if (syncs && ::fsync(descriptor_) != 0 && errno != EINVAL) {
    fail_with_errno(code_, name_, "fsync");
  }
  if (::close(std::exchange(descriptor_, -1)) != 0) {
    fail_with_errno(code_, name_, "close");
  }
}

AtomicFile::AtomicFile(fs::path destination, ErrorCode code)
    : destination_(std::move(destination)),
      code_(code),
      syncs_(!uncommitted_folders().contain(destination_)),
      writer_(create_file_beside(destination_, temporary_, code), destination_, code) {}

AtomicFile::~AtomicFile() {
  if (!committed_) {
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::put_in_place() {
  writer_.close(syncs_);
  rename_into_place(temporary_, destination_, code_);
  committed_ = true;
}

void AtomicFile::commit() {
  put_in_place();
  if (syncs_) {
    sync_path(parent_of(destination_), code_);
  }
}

AtomicDirectory::AtomicDirectory(fs::path destination, ErrorCode code)
    : destination_(std::move(destination)), code_(code) {
  if (!destination_.has_filename()) {
    destination_ = destination_.parent_path();  // "runs/a/" names the folder "runs/a"
  }
  expect_kind(destination_, S_IFDIR, code_);
  create_directories(parent_of(destination_), code_);
  temporary_ = create_beside(destination_, code_, [](const fs::path& candidate) {
    return ::mkdir(candidate.c_str(), 0777) == 0;
  });
  uncommitted_folders().add(temporary_);
}

AtomicDirectory::~AtomicDirectory() {
  uncommitted_folders().remove(temporary_);
  if (!committed_) {
    std::error_code ignored;
    fs::remove_all(temporary_, ignored);
  }
}

void AtomicDirectory::commit() {
  uncommitted_folders().remove(temporary_);
  for (const auto& entry : fs::recursive_directory_iterator(temporary_)) {
    sync_path(entry.path(), code_);
  }
  sync_path(temporary_, code_);
  std::error_code ignored;
  if (fs::exists(destination_, ignored)) {
    replace();
    fs::remove_all(temporary_, ignored);
  } else {
    rename_into_place(temporary_, destination_, code_);
    sync_path(parent_of(destination_), code_);
  }
  committed_ = true;
}

void AtomicDirectory::replace() {
  // rename(2) cannot replace a folder that holds files; an exchange can, in one step.
  if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, destination_.c_str(), RENAME_EXCHANGE) ==
      0) {
    sync_path(parent_of(destination_), code_);
    return;
  }
  if (errno != EINVAL && errno != ENOSYS) {
    fail_with_errno(code_, destination_, "exchange the finished folder into place");
  }
  fs::path old = temporary_;
  old += "-old";
  if (::rename(destination_.c_str(), old.c_str()) != 0) {
    fail_with_errno(code_, destination_, "rename the older folder aside");
  }
  if (::rename(temporary_.c_str(), destination_.c_str()) != 0) {
    const int reason = errno;
    (void)::rename(old.c_str(), destination_.c_str());
    errno = reason;
    fail_with_errno(code_, destination_, "rename the finished folder into place");
  }
  temporary_ = std::move(old);
  sync_path(parent_of(destination_), code_);
}

MappedFile::MappedFile(const fs::path& path, ErrorCode code, Access access) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    fail_with_errno(code, path, "open");
  }
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    fail(code, "{}: expected a regular file, got {}.", path.string(),
         S_ISDIR(status.st_mode) ? "a folder" : "a device, pipe or socket");
  }
  size_ = static_cast<size_t>(status.st_size);
  if (size_ > 0) {
    const bool writes = access == Access::kCopyOnWrite;
    void* address = ::mmap(nullptr, size_, writes ? PROT_READ | PROT_WRITE : PROT_READ,
                           writes ? MAP_PRIVATE : MAP_SHARED, descriptor, 0);
    if (address == MAP_FAILED) {
      ::close(descriptor);
      fail_with_errno(code, path, "map");
    }
    data_ = static_cast<const std::byte*>(address);
  }
  ::close(descriptor);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) {
    ::munmap(const_cast<std::byte*>(data_), size_);
  }
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void remove_temporaries(const fs::path& folder, std::string_view prefix) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const auto name = entry.path().filename().string();
    if (name.starts_with(fmt::format(".{}", prefix)) && name.find(".tmp-") != std::string::npos) {
      fs::remove_all(entry.path(), ignored);
    }
  }
}

void create_directories(const fs::path& path, ErrorCode code) {
  std::error_code status;
  std::vector<fs::path> parents;  // of the folders that are new
  for (auto at = path; !at.empty() && !fs::exists(at, status); at = at.parent_path()) {
    parents.push_back(parent_of(at));
  }
  fs::create_directories(path, status);
  if (status) {
    fail(code, "{}: cannot create the folder: {}.", path.string(), status.message());
  }
  for (const auto& parent : parents) {
    sync_path(parent, code);
  }
}

}  // namespace loopbank
