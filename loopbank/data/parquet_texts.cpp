#include "loopbank/data/parquet_texts.h"

#include "loopbank/support/error.h"

#ifdef LOOPBANK_HAS_PARQUET

#include <parquet/column_reader.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>
#include <parquet/schema.h>

#include <algorithm>
#include <array>
#include <utility>

#include "loopbank/data/text_reader.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kBatchRows = 64;  // the texts of a batch stay where the page lies

/// Calls `action`; what Arrow throws becomes an Error of ours.
template <typename Action>
auto translated(const fs::path& path, int64_t row, Action&& action) {
  try {
    return action();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail(ErrorCode::kData, "{}: expected a whole Parquet file, got an error after row {}: {}.",
         path.string(), row, error.what());
  }
}

}  // namespace

struct ParquetTexts::Impl {
  fs::path path;
  uint64_t file_bytes = 0;
  std::unique_ptr<parquet::ParquetFileReader> file;
  std::shared_ptr<parquet::FileMetaData> metadata;
  int column = -1;
  int next_group = 0;
  std::shared_ptr<parquet::RowGroupReader> group;
  std::shared_ptr<parquet::ByteArrayReader> texts;  // of the row group
  std::array<parquet::ByteArray, kBatchRows> values;
  std::array<int16_t, kBatchRows> levels{};  // definition levels: 0 where the row is null
  int64_t num_levels = 0;
  int64_t next_level = 0;
  int64_t next_value = 0;
  int64_t row = 0;

  explicit Impl(const fs::path& file_path) : path(file_path) {
    std::error_code absent;
    file_bytes = fs::file_size(path, absent);
    if (absent) {
      fail(ErrorCode::kData, "{}: cannot open: {}.", path.string(), absent.message());
    }
    auto properties = parquet::default_reader_properties();
    properties.enable_buffered_stream();  // a page at a time instead of a whole row group
    file = parquet::ParquetFileReader::OpenFile(path.string(), /*memory_map=*/false, properties);
    metadata = file->metadata();
    column = metadata->schema()->ColumnIndex("text");
    if (column < 0) {
      fail(ErrorCode::kData, "{}: expected a column \"text\", got {} columns, none of that name.",
           path.string(), metadata->num_columns());
    }
    const auto* description = metadata->schema()->Column(column);
    if (description->physical_type() != parquet::Type::BYTE_ARRAY ||
        description->max_repetition_level() > 0 || description->max_definition_level() > 1) {
      fail(ErrorCode::kData, "{}: expected a text per row in the column \"text\", got {}.",
           path.string(), description->ToString());
    }
  }

  /// False behind the last row group.
  bool open_next_group() {
    if (next_group == metadata->num_row_groups()) {
      return false;
    }
    group = file->RowGroup(next_group++);
    texts = std::static_pointer_cast<parquet::ByteArrayReader>(group->Column(column));
    return true;
  }

  /// Reads on where a batch is used up; false at the end of the file.
  bool refill() {
    while (next_level == num_levels) {
      if (texts == nullptr || !texts->HasNext()) {
        if (!open_next_group()) {
          return false;
        }
        continue;
      }
      const bool is_optional = metadata->schema()->Column(column)->max_definition_level() > 0;
      int64_t num_values = 0;
      levels.fill(1);
      num_levels = texts->ReadBatch(kBatchRows, is_optional ? levels.data() : nullptr, nullptr,
                                    values.data(), &num_values);
      num_levels = is_optional ? num_levels : num_values;
      next_level = 0;
      next_value = 0;
    }
    return true;
  }

  Row next(std::string& text) {
    if (!refill()) {
      return Row::kEnd;
    }
    ++row;
    if (levels[static_cast<size_t>(next_level++)] == 0) {
      return Row::kNull;
    }
    const auto& value = values[static_cast<size_t>(next_value++)];
    if (value.len > kMaxLineBytes) {
      fail(ErrorCode::kData, "{}:{}: expected texts of at most {} bytes, got {}.", path.string(),
           row, kMaxLineBytes, value.len);
    }
    text.assign(reinterpret_cast<const char*>(value.ptr), value.len);
    return Row::kText;
  }

  void skip_to(int64_t wanted) {
    while (next_group < metadata->num_row_groups() &&
           row + metadata->RowGroup(next_group)->num_rows() <= wanted) {
      row += metadata->RowGroup(next_group++)->num_rows();
    }
    std::string passed_over;
    while (row < wanted) {
      if (next(passed_over) == Row::kEnd) {
        fail(ErrorCode::kData,
             "{}: expected at least {} rows, up to which it was read before, got {}. The file has "
             "changed.",
             path.string(), wanted, row);
      }
    }
  }
};

bool ParquetTexts::is_available() {
  return true;
}

ParquetTexts::ParquetTexts(const fs::path& path)
    : impl_(translated(path, 0, [&] { return std::make_unique<Impl>(path); })) {}

ParquetTexts::~ParquetTexts() = default;

ParquetTexts::Row ParquetTexts::next(std::string& text) {
  return translated(impl_->path, impl_->row, [&] { return impl_->next(text); });
}

int64_t ParquetTexts::row() const {
  return impl_->row;
}

void ParquetTexts::skip_to(int64_t row) {
  translated(impl_->path, impl_->row, [&] { impl_->skip_to(row); });
}

uint64_t ParquetTexts::bytes_read() const {
  const auto rows = std::max<int64_t>(impl_->metadata->num_rows(), 1);
  return static_cast<uint64_t>(static_cast<double>(impl_->file_bytes) *
                               static_cast<double>(impl_->row) / static_cast<double>(rows));
}

}  // namespace loopbank

#else  // a build without Apache Arrow

namespace loopbank {

namespace fs = std::filesystem;

struct ParquetTexts::Impl {};

bool ParquetTexts::is_available() {
  return false;
}

ParquetTexts::ParquetTexts(const std::filesystem::path& path) {
  // Dollars quote a text in DuckDB's SQL, so that the shell's and Python's quotes stay free.
  fail(ErrorCode::kData,
       "{0}: expected a build with Apache Arrow, which reads Parquet, got one without. Turn the "
       "file into lines of JSON with: pip install duckdb && python3 -c 'import duckdb; "
       "duckdb.sql(\"COPY (SELECT text FROM read_parquet($${0}$$)) TO $${1}.jsonl.zst$$ (FORMAT "
       "json, COMPRESSION zstd)\")'. Or build with Arrow, as docs/data.md tells.",
       path.string(), fs::path(path).replace_extension().string());
}

ParquetTexts::~ParquetTexts() = default;

ParquetTexts::Row ParquetTexts::next(std::string&) {
  return Row::kEnd;
}

int64_t ParquetTexts::row() const {
  return 0;
}

void ParquetTexts::skip_to(int64_t) {}

uint64_t ParquetTexts::bytes_read() const {
  return 0;
}

}  // namespace loopbank

#endif
