#pragma once
/// Documents from text files in constant memory: .jsonl (field `text`) and texts, plain, .gz, .zst,
/// and the column `text` of .parquet (parquet_texts.h).
///
/// A byte order mark at the start of a file is dropped and CRLF line ends count as LF. A text is
/// one document and therefore the only thing that is held in memory whole.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace loopbank {

class ByteSource;

/// The longest line, and the longest .txt document: 256 MiB.
inline constexpr size_t kMaxLineBytes = size_t{256} << 20;

/// Lines of a file, decompressed according to the name's ending (.gz, .zst). A line longer than
/// kMaxLineBytes and a truncated or broken stream raise Error kData with the path and the line
/// number.
class LineReader {
 public:
  explicit LineReader(const std::filesystem::path& path);
  /// @param source  open at the beginning of the file, from which all is still to be read
  LineReader(const std::filesystem::path& path, std::unique_ptr<ByteSource> source);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  /// The next line without its line end; false at the end of the file.
  bool next(std::string& line);
  /// Number of the line that `next` returned last, from 1.
  [[nodiscard]] int64_t line_number() const;
  /// Where the next line starts, in bytes after decompression.
  [[nodiscard]] uint64_t position() const;
  /// Continues where another reader of the same file was; only before the first `next`.
  /// @throws Error kData when the file ends before
  void skip_to(uint64_t position, int64_t line_number);
  /// Bytes of the (compressed) file read so far, for progress.
  [[nodiscard]] uint64_t bytes_read() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A line that is not a document, and why.
struct BadLine {
  int64_t line = 0;  ///< from 1
  std::string reason;
};

/// What a reader met. Blank lines of a .jsonl file are not counted at all.
struct TextReaderCounts {
  int64_t documents = 0;           ///< returned by `next`
  int64_t document_bytes = 0;      ///< their text in UTF-8
  int64_t empty_documents = 0;     ///< `text` is empty: skipped, but not an error
  int64_t invalid_json_lines = 0;  ///< not a JSON object with a text in `text`; rows without one
  int64_t invalid_utf8_documents = 0;
  int64_t first_bad_line = 0;  ///< 0: none
  bool operator==(const TextReaderCounts&) const = default;

  [[nodiscard]] int64_t num_bad_lines() const {
    return invalid_json_lines + invalid_utf8_documents;
  }
};

struct TextReaderReport : TextReaderCounts {
  std::vector<BadLine> bad_lines;  ///< the first kMaxReported of them
  static constexpr size_t kMaxReported = 20;
};

/// A reader's position between two documents, and what it met up to there.
struct TextReaderState {
  int64_t line = 0;    ///< lines or rows read; for a .txt file 1 after its document
  uint64_t bytes = 0;  ///< where the next line starts, after decompression; 0 if not lines
  TextReaderCounts counts;
  bool operator==(const TextReaderState&) const = default;
};

/// What is done about lines that are no document.
struct BadLinePolicy {
  int64_t skip = 0;  ///< so many of a file are passed over, counted and reported; then Error
  std::string remedy = "Correct or drop the line.";  ///< ends that error

  /// For a reader behind others of one job, which passes over `allowed` lines (--skip-bad) in all.
  /// @param skipped  those of the others
  static BadLinePolicy of_job(int64_t allowed, int64_t skipped);
  /// @throws Error kData for this line of the file
  [[noreturn]] void refuse(const std::filesystem::path& path, const BadLine& bad) const;
};

/// Documents of lines of JSON (.jsonl, .ndjson: the field `text` of each), of a .parquet file (the
/// column `text`; a row counts as a line) or of a text: the whole file is one document, and blank
/// lines do not split. A file of any other name is lines of JSON where it begins as such, with an
/// object that has the field `text`, and else a text.
class TextReader {
 public:
  /// @throws Error kData when the file cannot be opened, or is a gzip, zstd, Parquet or token file,
  ///   or holds a NUL byte at its beginning, and its name does not say so; here and in `next`
  explicit TextReader(const std::filesystem::path& path, BadLinePolicy policy = {});
  ~TextReader();
  TextReader(const TextReader&) = delete;
  TextReader& operator=(const TextReader&) = delete;

  /// The next document; false at the end.
  /// @throws Error kData `path:line: ...` for broken JSON, a line without a text, and a text that is
  ///   not UTF-8, once policy.skip of these were met
  bool next(std::string& document);
  [[nodiscard]] const TextReaderReport& report() const;
  [[nodiscard]] TextReaderState state() const;
  /// Continues where another reader of the same file was, which had met `bad_lines`; only before
  /// the first `next`.
  /// @throws Error kData when the file ends before
  void resume(const TextReaderState& state, std::vector<BadLine> bad_lines);
  /// Bytes of the (compressed) file read so far, for progress.
  [[nodiscard]] uint64_t bytes_read() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace loopbank
