/// What reaches the disk, in which order, and what happens where the disk refuses.
///
/// fsync and renameat2 are defined here in place of the C library's, for this test program: they
/// note or refuse calls while a Disk object lives.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "loopbank/support/files.h"
#include "tests/support/test_directory.h"

namespace {

struct Calls {
  bool watched = false;
  int sync_error = 0;       // errno of every fsync of a folder; 0: it works
  int file_sync_error = 0;  // the same for files
  int exchange_error = 0;   // the same for renameat2
  std::vector<std::string> synced = {};
};
Calls calls;

}  // namespace

extern "C" int fsync(int descriptor) {
  if (calls.watched) {
    std::array<char, 4096> name{};
    const auto link = "/proc/self/fd/" + std::to_string(descriptor);
    const auto size = ::readlink(link.c_str(), name.data(), name.size());
    calls.synced.emplace_back(name.data(), static_cast<size_t>(std::max<ssize_t>(size, 0)));
    struct stat status {};
    ::fstat(descriptor, &status);
    errno = S_ISDIR(status.st_mode) ? calls.sync_error : calls.file_sync_error;
    if (errno != 0) {
      return -1;
    }
  }
  return static_cast<int>(::syscall(SYS_fsync, descriptor));
}

extern "C" int renameat2(int old_folder, const char* old_name, int new_folder, const char* new_name,
                         unsigned flags) noexcept {
  if (calls.exchange_error != 0) {
    errno = calls.exchange_error;
    return -1;
  }
  return static_cast<int>(
      ::syscall(SYS_renameat2, old_folder, old_name, new_folder, new_name, flags));
}

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::content_of;
using testing::DiskDirectory;
using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;
using Names = std::vector<std::string>;

/// A disk that is watched, and refuses what it is told to.
class Disk {
 public:
  explicit Disk(Calls behavior = {}) {
    calls = std::move(behavior);
    calls.watched = true;
  }
  ~Disk() { calls = {}; }
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  /// Names of what was synced so far, temporary ones as "TEMPORARY".
  [[nodiscard]] static Names synced() {
    Names names;
    for (const fs::path path : calls.synced) {
      const auto name = path.filename().string();
      names.push_back(name.find(".tmp-") == std::string::npos ? name : "TEMPORARY");
    }
    return names;
  }
};

/// Every path that a name of this process's own could have, with something of a dead one in it.
void leave_behind(const TestDirectory& directory, const std::string& name, bool folders) {
  for (int counter = 0; counter < 256; ++counter) {
    const auto left = directory.path() / fmt::format(".{}.tmp-{}-{}", name, ::getpid(), counter);
    if (folders) {
      fs::create_directory(left);
    }
    std::ofstream(folders ? left / "rest" : left) << "rest";
  }
}

TEST(WriteFileAtomically, SyncsTheFileBeforeItHasItsNameAndTheFolderAfter) {
  const DiskDirectory directory;
  const Disk disk;
  write_file_atomically(directory.path() / "state", "new");
  EXPECT_EQ(Disk::synced(), (Names{"TEMPORARY", directory.path().filename().string()}));
}

TEST(WriteFileAtomically, ADiskThatFailsToSyncLeavesTheOldContent) {
  const DiskDirectory directory;
  const auto path = directory.write("state", "old");
  {
    const Disk disk({.file_sync_error = EIO});
    expect_contains(error_of(ErrorCode::kData, [&] { write_file_atomically(path, "new"); }),
                    path.string() + ": cannot fsync: Input/output error.");
  }
  EXPECT_EQ(content_of(path), "old");
  EXPECT_EQ(directory.names(), Names{"state"});
}

TEST(WriteFileAtomically, AQuotaThatIsUsedUpIsReportedWithARemedy) {
  const DiskDirectory directory;
  const Disk disk({.file_sync_error = EDQUOT});  // a disk in the network tells so late
  expect_contains(
      error_of(ErrorCode::kData, [&] { write_file_atomically(directory.path() / "a", "new"); }),
      "Disk quota exceeded. Free some disk space; nothing saved before is lost.");
}

TEST(WriteFileAtomically, AFolderThatFailsToSyncIsAnErrorUnlessNoFolderCanBeSynced) {
  const DiskDirectory directory;
  const auto path = directory.path() / "state";
  {
    const Disk disk({.sync_error = EIO});
    expect_contains(error_of(ErrorCode::kData, [&] { write_file_atomically(path, "new"); }),
                    directory.path().string() + ": cannot fsync: Input/output error.");
  }
  const Disk disk({.sync_error = EINVAL});
  write_file_atomically(path, "newer");
  EXPECT_EQ(content_of(path), "newer");
}

TEST(WriteFileAtomically, TakesNoNameThatADeadProcessLeft) {
  const DiskDirectory directory;
  leave_behind(directory, "state", /*folders=*/false);
  const auto before = directory.names().size();
  write_file_atomically(directory.path() / "state", "new");
  EXPECT_EQ(content_of(directory.path() / "state"), "new");
  EXPECT_EQ(directory.names().size(), before + 1);
}

TEST(WriteFilesAtomically, SyncsEachFileAndTheFolderOnce) {
  const DiskDirectory directory;
  directory.write("a", "old");
  const Disk disk;
  write_files_atomically(directory.path(), {{"a", "new"}, {"b", "another"}});
  EXPECT_EQ(Disk::synced(),
            (Names{"TEMPORARY", "TEMPORARY", directory.path().filename().string()}));
  EXPECT_EQ(content_of(directory.path() / "a"), "new");
  EXPECT_EQ(content_of(directory.path() / "b"), "another");
  EXPECT_EQ(directory.names(), (Names{"a", "b"}));
}

TEST(AtomicDirectory, HoldsNothingThatADeadProcessLeft) {
  const DiskDirectory directory;
  leave_behind(directory, "step", /*folders=*/true);
  AtomicDirectory made(directory.path() / "step");
  write_file_atomically(made.path() / "weights", "new");
  made.commit();
  EXPECT_TRUE(fs::exists(directory.path() / "step" / "weights"));
  EXPECT_FALSE(fs::exists(directory.path() / "step" / "rest"));
}

TEST(AtomicDirectory, SyncsEveryFileEveryFolderAndThenItsName) {
  const DiskDirectory directory;
  AtomicDirectory made(directory.path() / "step");
  fs::create_directory(made.path() / "below");
  std::ofstream(made.path() / "below" / "weights") << "new";
  const Disk disk;
  made.commit();
  auto names = Disk::synced();
  ASSERT_EQ(names.size(), 4U);
  EXPECT_EQ(names[3], directory.path().filename().string());
  EXPECT_EQ(names[2], "TEMPORARY");
  names.resize(2);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (Names{"below", "weights"}));
}

TEST(AtomicDirectory, SyncsWhatIsWrittenIntoItOnceAndAtTheEnd) {
  const DiskDirectory directory;
  AtomicDirectory made(directory.path() / "step");
  const Disk disk;
  write_file_atomically(made.path() / "weights", "new");
  fs::create_directory(made.path() / "below");
  write_file_atomically(made.path() / "below" / "state", "new");
  EXPECT_EQ(Disk::synced(), Names{});
  // Another folder's files are not its own, whatever they are called.
  write_file_atomically(directory.path() / "state", "new");
  EXPECT_EQ(Disk::synced(), (Names{"TEMPORARY", directory.path().filename().string()}));
  made.commit();
  auto names = Disk::synced();
  ASSERT_EQ(names.size(), 2 + 5U);
  std::sort(names.begin() + 2, names.begin() + 5);
  EXPECT_EQ(Names(names.begin() + 2, names.end()), (Names{"below", "state", "weights", "TEMPORARY",
                                                          directory.path().filename().string()}));
  // What is written into it from now on is.
  write_file_atomically(directory.path() / "step" / "weights", "newer");
  EXPECT_EQ(Disk::synced().size(), 9U);
}

TEST(AtomicDirectory, ADiskThatFailsToSyncAFileInItLeavesTheOlderOne) {
  const DiskDirectory directory;
  directory.write("step/weights", "old");
  {
    AtomicDirectory made(directory.path() / "step");
    write_file_atomically(made.path() / "weights", "new");
    const Disk disk({.file_sync_error = EDQUOT});
    expect_contains(error_of(ErrorCode::kCheckpoint, [&] { made.commit(); }),
                    "weights: cannot fsync: Disk quota exceeded. Free some disk space;");
  }
  EXPECT_EQ(content_of(directory.path() / "step" / "weights"), "old");
  EXPECT_EQ(directory.names(), Names{"step"});
}

TEST(AtomicDirectory, ReplacesAnOlderOneWhereFoldersCannotBeExchanged) {
  const DiskDirectory directory;
  const auto path = directory.path() / "step";
  for (const std::string content : {"first", "second", "third"}) {
    const Disk disk({.exchange_error = EINVAL});
    AtomicDirectory made(path);
    write_file_atomically(made.path() / content, content);
    made.commit();
    EXPECT_EQ(content_of(path / content), content);
    EXPECT_EQ(std::distance(fs::directory_iterator(path), fs::directory_iterator()), 1);
    EXPECT_EQ(directory.names(), Names{"step"});
  }
}

TEST(AtomicDirectory, AnExchangeThatFailsLeavesTheOlderOne) {
  const DiskDirectory directory;
  directory.write("file", "");
  fs::create_directory(directory.path() / "step");
  directory.write("step/weights", "old");
  {
    const Disk disk({.exchange_error = EIO});
    AtomicDirectory made(directory.path() / "step");
    expect_contains(error_of(ErrorCode::kCheckpoint, [&] { made.commit(); }),
                    "cannot exchange the finished folder into place: Input/output error.");
  }
  EXPECT_EQ(content_of(directory.path() / "step" / "weights"), "old");
  EXPECT_EQ(directory.names(), (Names{"file", "step"}));
}

TEST(CreateDirectories, SyncsTheFoldersThatGotANewEntry) {
  const DiskDirectory directory;
  const auto root = directory.path().filename().string();
  const Disk disk;
  loopbank::create_directories(directory.path() / "a" / "b");
  EXPECT_EQ(Disk::synced(), (Names{"a", root}));
  loopbank::create_directories(directory.path() / "a" / "b");
  EXPECT_EQ(Disk::synced().size(), 2U);
}

TEST(AtomicFile, PutsNoFileInThePlaceOfAPipeOrAFolder) {
  const DiskDirectory directory;
  const auto pipe = directory.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { write_file_atomically(pipe, "x"); }),
            pipe.string() +
                ": expected a regular file or nothing of that name, got a device, pipe or socket.");
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { write_file_atomically(directory.path(), "x"); }),
            directory.path().string() +
                ": expected a regular file or nothing of that name, got a folder.");
}

TEST(AtomicDirectory, PutsNoFolderInThePlaceOfAFile) {
  const DiskDirectory directory;
  const auto file = directory.write("file", "kept");
  EXPECT_EQ(error_of(ErrorCode::kCheckpoint, [&] { const AtomicDirectory made(file); }),
            file.string() + ": expected a folder or nothing of that name, got a regular file.");
  EXPECT_EQ(content_of(file), "kept");
}

}  // namespace
}  // namespace loopbank
