#pragma once
/// Documents from text files in constant memory: .jsonl (field `text`) and .txt, plain, .gz, .zst.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace loopbank {

/// Lines of a file, decompressed by the ending of its name (.gz, .zst). A line longer than
/// 256 MB, a truncated or a broken stream end in Error kData with the path and the line number.
class LineReader {
 public:
  explicit LineReader(const std::filesystem::path& path);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  /// The next line without its line end; false at the end of the file.
  bool next(std::string& line);
  /// Number of the line that `next` gave last, from 1.
  [[nodiscard]] int64_t line_number() const;
  /// Bytes of the (compressed) file read so far, for progress.
  [[nodiscard]] uint64_t bytes_read() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What a reader met that was not a document.
struct TextReaderReport {
  int64_t documents = 0;
  int64_t empty_documents = 0;
  int64_t invalid_json_lines = 0;
  int64_t invalid_utf8_documents = 0;
  int64_t first_bad_line = 0;  ///< 0: none
};

/// Documents of a .jsonl file (the field `text` of each line) or of a .txt file (the whole file
/// is one document; blank lines do not split). Broken JSON lines and texts that are not UTF-8 are
/// skipped, counted and reported with their line number; `strict` stops at the first one.
class TextReader {
 public:
  TextReader(const std::filesystem::path& path, bool strict);
  ~TextReader();

  /// The next document; false at the end.
  bool next(std::string& document);
  [[nodiscard]] const TextReaderReport& report() const;
  [[nodiscard]] uint64_t bytes_read() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether the bytes are well-formed UTF-8 (Unicode 15, table 3-7).
[[nodiscard]] bool is_valid_utf8(std::string_view text);

}  // namespace loopbank
