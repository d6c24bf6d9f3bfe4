#include "loopbank/train/appended_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

[[noreturn]] void fail_with_errno(const std::filesystem::path& path, const char* action) {
  fail(
      ErrorCode::kCheckpoint,
      "{}: cannot {}: {}. Nothing saved before is lost: continue with --resume once that is fixed.",
      path.string(), action, std::strerror(errno));
}

}  // namespace

AppendedFile::AppendedFile(std::filesystem::path path)
    : path_(std::move(path)),
      descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
  if (descriptor_ < 0) {
    fail_with_errno(path_, "open");
  }
}

AppendedFile::~AppendedFile() {
  ::close(descriptor_);
}

void AppendedFile::write(std::string_view piece) {
  while (!piece.empty()) {
    const auto count = ::write(descriptor_, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      fail_with_errno(path_, "write");
    }
    piece.remove_prefix(static_cast<size_t>(count));
  }
}

void AppendedFile::sync() {
  if (::fsync(descriptor_) != 0) {
    fail_with_errno(path_, "fsync");
  }
}

}  // namespace loopbank
