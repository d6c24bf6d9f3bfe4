#pragma once
/// A fresh folder for one test, and its files.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/support/error.h"

namespace loopbank::testing {

/// Where temporary files are quickest: in memory where that has ample room, since a disk takes
/// milliseconds for each fsync. TMPDIR goes before.
inline std::filesystem::path quickest_temporary_folder() {
  constexpr const char* kInMemory = "/dev/shm";
  std::error_code absent;
  const bool ample = std::filesystem::space(kInMemory, absent).available > (uintmax_t{1} << 30);
  const bool usable = !absent && ample && ::access(kInMemory, W_OK) == 0;
  return usable && std::getenv("TMPDIR") == nullptr ? kInMemory
                                                    : std::filesystem::temp_directory_path();
}

/// A folder that is new at construction and goes with the object.
class TestDirectory {
 public:
  explicit TestDirectory(const std::filesystem::path& parent = quickest_temporary_folder()) {
    std::string form = (parent / "loopbank-XXXXXX").string();
    if (::mkdtemp(form.data()) == nullptr) {
      throw std::runtime_error("cannot make a folder for the test: " + form);
    }
    path_ = form;
  }
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Writes a file, in folders that need not exist, and gives its path.
  std::filesystem::path write(const std::string& name, std::string_view content) const {
    const auto path = path_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  /// Names of everything in the folder, in order, so that a left-over temporary file shows.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      found.push_back(entry.path().filename().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  std::filesystem::path path_;
};

/// The same on a disk, for tests of what reaches it.
class DiskDirectory : public TestDirectory {
 public:
  DiskDirectory() : TestDirectory(std::filesystem::temp_directory_path()) {}
};

inline std::string content_of(const std::filesystem::path& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

/// The message of the Error with this code that `action` throws; a failure where it does not.
template <typename Action>
std::string error_of(ErrorCode code, Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "expected an Error, got none";
  return "";
}

/// Passes where `text` holds `part`, else shows both.
inline void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "expected: " << part << "\nwithin:   " << text;
}

}  // namespace loopbank::testing
