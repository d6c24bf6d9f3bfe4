#include "loopbank/support/folder_lock.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::TestDirectory;

TEST(FolderLock, HoldsAFolderUntilItGoes) {
  const TestDirectory directory;
  const auto folder = directory.path() / "a" / "b";
  auto lock = std::make_unique<FolderLock>(folder, "trains", ErrorCode::kCheckpoint);
  EXPECT_EQ(error_of(ErrorCode::kData,
                     [&] { const FolderLock second(folder, "tokenizes", ErrorCode::kData); }),
            folder.string() +
                ": expected a folder that no other process tokenizes into, got one that is in use. "
                "Wait for that process or choose another --out.");
  lock.reset();
  const FolderLock again(folder, "tokenizes", ErrorCode::kData);
}

TEST(FolderLock, WhoTriesGetsNothingWhereAnotherHoldsIt) {
  const TestDirectory directory;
  auto first = FolderLock::try_hold(directory.path(), ErrorCode::kData);
  ASSERT_TRUE(first);
  EXPECT_FALSE(FolderLock::try_hold(directory.path(), ErrorCode::kData));
  first.reset();
  EXPECT_TRUE(FolderLock::try_hold(directory.path(), ErrorCode::kData));
}

TEST(FolderLock, AFileInThePlaceOfTheFolderIsNamed) {
  const TestDirectory directory;
  const auto file = directory.write("a", "");
  testing::expect_contains(
      error_of(ErrorCode::kData,
               [&] { const FolderLock lock(file, "tokenizes", ErrorCode::kData); }),
      file.string() + ": cannot create the folder: ");
}

}  // namespace
}  // namespace loopbank
