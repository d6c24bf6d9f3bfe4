#include "loopbank/support/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "loopbank/support/files.h"

namespace loopbank {

namespace {

/// The descriptor of a lock that is held, or -1 where another process holds it. Any other failure
/// of the lock is a file system without locks: nothing to wait for there.
int lock_folder(const std::filesystem::path& folder, ErrorCode code) {
  create_directories(folder, code);
  const auto path = folder / ".lock";
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    fail(code, "{}: cannot create: {}.", path.string(), std::strerror(errno));
  }
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(descriptor);
    return -1;
  }
  return descriptor;
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder, std::string_view use, ErrorCode code)
    : descriptor_(lock_folder(folder, code)) {
  if (descriptor_ < 0) {
    fail(code,
         "{}: expected a folder that no other process {} into, got one that is in use. Wait for "
         "that process or choose another --out.",
         folder.string(), use);
  }
}

std::unique_ptr<FolderLock> FolderLock::try_hold(const std::filesystem::path& folder,
                                                 ErrorCode code) {
  const int descriptor = lock_folder(folder, code);
  return std::unique_ptr<FolderLock>(descriptor < 0 ? nullptr : new FolderLock(descriptor));
}

std::unique_ptr<FolderLock> FolderLock::wait_to_hold(const std::filesystem::path& folder,
                                                     ErrorCode code,
                                                     const std::function<bool()>& should_stop) {
  while (true) {
    auto lock = try_hold(folder, code);
    if (lock || (should_stop && should_stop())) {
      return lock;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

FolderLock::~FolderLock() {
  ::close(descriptor_);
}

}  // namespace loopbank
