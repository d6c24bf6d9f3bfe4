#pragma once
/// The texts of a Parquet file through Apache Arrow's reader, row by row in constant memory.
///
/// Only the column `text` is read, one page at a time (FineWeb-Edu's files have nine more columns:
/// id, dump, url, file_path, language, language_score, token_count, score, int_score). Debian 12
/// has no Arrow package: a build without it has this class, but refuses every file with a text that
/// says what to do.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace loopbank {

class ParquetTexts {
 public:
  /// Whether this build can read Parquet.
  [[nodiscard]] static bool is_available();

  /// @throws Error kData for a build without Apache Arrow, a file that is not Parquet, and a file
  ///         without a column `text` of texts
  explicit ParquetTexts(const std::filesystem::path& path);
  ~ParquetTexts();
  ParquetTexts(const ParquetTexts&) = delete;
  ParquetTexts& operator=(const ParquetTexts&) = delete;

  enum class Row {
    kText,  ///< `text` was set
    kNull,  ///< the row has no text
    kEnd,   ///< there are no more rows
  };

  /// The next row.
  /// @throws Error kData for a text of more than kMaxLineBytes, and with the row for a broken page
  Row next(std::string& text);
  /// Number of the row that `next` returned last, from 1.
  [[nodiscard]] int64_t row() const;
  /// Continues after row `row`, without reading whole row groups before it.
  /// @throws Error kData when the file has fewer rows
  void skip_to(int64_t row);
  /// Bytes of the file in proportion to the rows read, for progress.
  [[nodiscard]] uint64_t bytes_read() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace loopbank
