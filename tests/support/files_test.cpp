#include "loopbank/support/files.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::content_of;
using testing::DiskDirectory;
using testing::error_of;
using testing::expect_contains;
using Names = std::vector<std::string>;

/// Makes every write beyond `num_bytes` of a file fail for as long as the object lives: what a
/// full disk does, without a disk to fill.
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t num_bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{num_bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SmallDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

/// Bytes that no shift or cut of themselves equals, larger than any write buffer.
std::string long_content(size_t size) {
  std::string content(size, '\0');
  for (size_t i = 0; i < size; ++i) {
    content[i] = static_cast<char>((i * 2654435761U) >> 13U);
  }
  return content;
}

TEST(ReadFile, GivesEveryByteOfFilesLargerThanTheBuffer) {
  const DiskDirectory directory;
  const auto content = long_content((size_t{5} << 19) + 17);
  EXPECT_EQ(read_file(directory.write("a", content)), content);
  EXPECT_EQ(read_file(directory.write("empty", "")), "");
}

TEST(ReadFile, NamesTheMissingFileAndTheReason) {
  const auto message = error_of(ErrorCode::kConfig, [] {
    static_cast<void>(read_file("/nowhere/run.toml", ErrorCode::kConfig));
  });
  EXPECT_EQ(message, "/nowhere/run.toml: cannot open: No such file or directory.");
}

TEST(WriteFileAtomically, ReplacesTheOldContentAndLeavesNothingBeside) {
  const DiskDirectory directory;
  const auto path = directory.write("state", "old");
  const auto content = long_content(3'000'001);
  write_file_atomically(path, content);
  EXPECT_EQ(content_of(path), content);
  EXPECT_EQ(directory.names(), Names{"state"});
}

TEST(WriteFileAtomically, AFullDiskLeavesTheOldContentAndNothingBeside) {
  const DiskDirectory directory;
  const auto path = directory.write("state", "old");
  std::string message;
  {
    const SmallDisk disk(4096);
    message = error_of(ErrorCode::kCheckpoint, [&] {
      write_file_atomically(path, std::string(100'000, 'n'), ErrorCode::kCheckpoint);
    });
  }
  expect_contains(message, path.string() + ": cannot write: ");
  EXPECT_EQ(content_of(path), "old");
  EXPECT_EQ(directory.names(), Names{"state"});
}

TEST(WriteFileAtomically, AMissingFolderIsNamed) {
  const DiskDirectory directory;
  const auto path = directory.path() / "absent" / "state";
  const auto message = error_of(ErrorCode::kData, [&] { write_file_atomically(path, "x"); });
  EXPECT_EQ(message, path.string() + ": cannot create: No such file or directory.");
}

TEST(FileWriter, AFullDeviceIsReportedWithARemedy) {
  if (!fs::exists("/dev/full")) {
    GTEST_SKIP() << "this machine has no /dev/full";
  }
  const auto message = error_of(ErrorCode::kCheckpoint, [] {
    FileWriter writer("/dev/full", ErrorCode::kCheckpoint);
    writer.write(std::string(5'000'000, 'x'));
    writer.close();
  });
  expect_contains(message, "/dev/full: cannot write: No space left on device.");
  expect_contains(message, "Free some disk space");
}

TEST(FileWriter, AFullDeviceShowsAtCloseWhereTheBufferHeldEverything) {
  if (!fs::exists("/dev/full")) {
    GTEST_SKIP() << "this machine has no /dev/full";
  }
  FileWriter writer("/dev/full");
  writer.write("few bytes");
  expect_contains(error_of(ErrorCode::kData, [&] { writer.close(); }), "No space left on device");
}

TEST(FileWriter, PiecesOfAnySizeEndUpInOrder) {
  const DiskDirectory directory;
  const auto content = long_content((size_t{1} << 21) + 5);
  FileWriter writer(directory.path() / "a");
  for (size_t begin = 0, size = 1; begin < content.size(); begin += size, size = size * 3 + 1) {
    writer.write(std::string_view(content).substr(begin, size));
  }
  EXPECT_EQ(writer.bytes_written(), content.size());
  writer.close();
  EXPECT_EQ(content_of(directory.path() / "a"), content);
}

TEST(FileWriter, WriteAtReplacesBytesInPlaceAndWritingGoesOnAtTheEnd) {
  const DiskDirectory directory;
  FileWriter writer(directory.path() / "a");
  writer.write("0123456789");
  writer.write_at(2, "ab");
  writer.write("X");
  writer.write_at(10, "Y");
  writer.write("Z");
  writer.close();
  EXPECT_EQ(content_of(directory.path() / "a"), "01ab456789YZ");
}

TEST(AtomicFile, IsNotThereBeforeCommitAndGoneWithoutIt) {
  const DiskDirectory directory;
  const auto path = directory.path() / "a";
  {
    AtomicFile file(path);
    file.writer().write("never");
    EXPECT_FALSE(fs::exists(path));
  }
  EXPECT_EQ(directory.names(), Names{});
  {
    AtomicFile file(path);
    file.writer().write("kept");
    file.commit();
  }
  EXPECT_EQ(content_of(path), "kept");
  EXPECT_EQ(directory.names(), Names{"a"});
}

TEST(AtomicDirectory, ReplacesAnOlderDirectoryWhole) {
  const DiskDirectory directory;
  const auto path = directory.path() / "step";
  for (const std::string round : {"first", "second"}) {
    AtomicDirectory made(path);
    write_file_atomically(made.path() / "only-in-the-new", round);
    fs::create_directory(made.path() / "below");
    write_file_atomically(made.path() / "below" / ("of-" + round), "x");
    made.commit();
  }
  EXPECT_EQ(content_of(path / "only-in-the-new"), "second");
  EXPECT_TRUE(fs::exists(path / "below" / "of-second"));
  EXPECT_FALSE(fs::exists(path / "below" / "of-first"));
  EXPECT_EQ(directory.names(), Names{"step"});
}

TEST(AtomicDirectory, WithoutCommitTheOldOneStaysAndNothingIsLeft) {
  const DiskDirectory directory;
  const auto path = directory.path() / "step";
  fs::create_directory(path);
  const auto old_file = directory.write("step/weights", "old");
  {
    const AtomicDirectory made(path);
    const SmallDisk disk(1000);
    error_of(ErrorCode::kCheckpoint, [&] {
      FileWriter writer(made.path() / "weights", ErrorCode::kCheckpoint);
      writer.write(std::string(50'000, 'n'));
      writer.close();
    });
  }
  EXPECT_EQ(content_of(old_file), "old");
  EXPECT_EQ(directory.names(), Names{"step"});
}

TEST(AtomicDirectory, ATrailingSlashNamesTheSameDirectory) {
  const DiskDirectory directory;
  AtomicDirectory made(directory.path() / "step/");
  made.commit();
  EXPECT_EQ(directory.names(), Names{"step"});
}

TEST(MappedFile, ShowsTheBytesAndSurvivesAMove) {
  const DiskDirectory directory;
  MappedFile first(directory.write("a", "bytes"));
  const MappedFile second(std::move(first));
  ASSERT_EQ(second.bytes().size(), 5U);
  EXPECT_EQ(static_cast<char>(second.bytes()[4]), 's');
  EXPECT_TRUE(MappedFile(directory.write("empty", "")).bytes().empty());
}

TEST(MappedFile, AFolderIsRefusedByKind) {
  const DiskDirectory directory;
  const auto message =
      error_of(ErrorCode::kData, [&] { const MappedFile mapped(directory.path()); });
  EXPECT_EQ(message, directory.path().string() + ": expected a regular file, got a folder.");
}

TEST(RemoveTemporaries, TakesThoseOfThePrefixAlone) {
  const DiskDirectory directory;
  for (const char* name : {".a-1.x.tmp-7-0", ".b.tmp-7-1", "a-1.x", ".a-hidden", "a.tmp-7"}) {
    directory.write(name, "");
  }
  remove_temporaries(directory.path(), "a-");
  EXPECT_EQ(directory.names(),
            (std::vector<std::string>{".a-hidden", ".b.tmp-7-1", "a-1.x", "a.tmp-7"}));
  remove_temporaries(directory.path());
  EXPECT_EQ(directory.names(), (std::vector<std::string>{".a-hidden", "a-1.x", "a.tmp-7"}));
}

TEST(CreateDirectories, AFileInTheWayIsNamed) {
  const DiskDirectory directory;
  const auto path = directory.write("file", "") / "below";
  expect_contains(error_of(ErrorCode::kData, [&] { loopbank::create_directories(path); }),
                  path.string() + ": cannot create the folder: ");
  loopbank::create_directories(directory.path() / "a" / "b");
  loopbank::create_directories(directory.path() / "a" / "b");
  EXPECT_TRUE(fs::is_directory(directory.path() / "a" / "b"));
}

}  // namespace
}  // namespace loopbank
