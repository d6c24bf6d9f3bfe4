#pragma once
/// What the fuzz targets share: an input as a file, claims that must hold, errors that may.
///
/// A target is one function that libFuzzer calls with bytes (preset fuzz); in every other build
/// replay.cpp calls it with the files of corpus/TARGET. An Error is a right answer to any input;
/// a crash, a sanitizer's report, another exception or a claim that does not hold is a finding.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "loopbank/support/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace loopbank::fuzz {

inline std::string_view as_text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// The text before the first `separator` and the text behind it.
inline std::pair<std::string_view, std::string_view> cut(std::string_view text, char separator) {
  const auto at = text.find(separator);
  return at == std::string_view::npos ? std::pair(text, std::string_view())
                                      : std::pair(text.substr(0, at), text.substr(at + 1));
}

/// Reads an input that begins with a letter for what it is: `read(letter, text)`. Nothing is no input.
template <typename Read>
int read_by_letter(const uint8_t* data, size_t size, Read&& read) {
  if (size > 0) {
    read(data[0], as_text(data + 1, size - 1));
  }
  return 0;
}

/// Ends the program, which is a finding, where a claim does not hold.
inline void require(bool holds, const char* claim) {
  if (!holds) {
    std::fprintf(stderr, "does not hold: %s\n", claim);
    std::abort();
  }
}

/// Whether `action` ran without an Error.
template <typename Action>
bool accepted(Action&& action) {
  try {
    action();
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// A file in memory, for readers that take a path.
class InputFile {
 public:
  InputFile() : descriptor_(::memfd_create("input", 0)) {
    if (descriptor_ < 0) {
      throw std::runtime_error("cannot make a file in memory");
    }
    path_ = "/proc/self/fd/" + std::to_string(descriptor_);
  }
  ~InputFile() { ::close(descriptor_); }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// The path of the file, which now holds these bytes.
  const std::filesystem::path& with(std::string_view bytes) {
    const auto size = static_cast<ssize_t>(bytes.size());
    if (::ftruncate(descriptor_, 0) != 0 ||
        ::pwrite(descriptor_, bytes.data(), bytes.size(), 0) != size) {
      throw std::runtime_error("cannot fill the file in memory");
    }
    return path_;
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  int descriptor_;
  std::filesystem::path path_;
};

/// A folder that goes with the program, for readers that look at names.
class Folder {
 public:
  Folder() {
    // In memory where there is such a place: what is written here is synced every time.
    const std::filesystem::path memory = "/dev/shm";
    const auto parent =
        std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
    std::string form = (parent / "loopbank-fuzz-XXXXXX").string();
    if (::mkdtemp(form.data()) == nullptr) {
      throw std::runtime_error("cannot make a folder: " + form);
    }
    path_ = form;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  /// Gives `file` a name in the folder.
  std::filesystem::path link(const std::string& name, const InputFile& file) const {
    auto path = path_ / name;
    std::filesystem::create_symlink(file.path(), path);
    return path;
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace loopbank::fuzz
