#include "loopbank/data/parquet_texts.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "loopbank/data/text_reader.h"
#include "tests/support/test_directory.h"

#ifdef LOOPBANK_HAS_PARQUET
#include <arrow/io/file.h>
#include <parquet/column_writer.h>
#include <parquet/file_writer.h>
#include <parquet/schema.h>
#endif

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;

#ifdef LOOPBANK_HAS_PARQUET

using Texts = std::vector<std::string>;
constexpr const char* kNull = "\x01null";  // stands for a row without a text

/// A column of FineWeb-Edu's files.
parquet::schema::NodePtr column(const char* name, parquet::Type::type type) {
  return parquet::schema::PrimitiveNode::Make(name, parquet::Repetition::OPTIONAL, type,
                                              type == parquet::Type::BYTE_ARRAY
                                                  ? parquet::ConvertedType::UTF8
                                                  : parquet::ConvertedType::NONE);
}

std::shared_ptr<parquet::schema::GroupNode> schema_of_fineweb_edu() {
  using parquet::Type;
  return std::static_pointer_cast<parquet::schema::GroupNode>(parquet::schema::GroupNode::Make(
      "schema", parquet::Repetition::REQUIRED,
      {column("text", Type::BYTE_ARRAY), column("id", Type::BYTE_ARRAY),
       column("dump", Type::BYTE_ARRAY), column("url", Type::BYTE_ARRAY),
       column("file_path", Type::BYTE_ARRAY), column("language", Type::BYTE_ARRAY),
       column("language_score", Type::DOUBLE), column("token_count", Type::INT64),
       column("score", Type::DOUBLE), column("int_score", Type::INT64)}));
}

/// Writes the rows of one column of one row group.
template <typename Writer, typename Value>
void write_column(parquet::RowGroupWriter& group, const std::vector<const Value*>& rows) {
  auto* writer = static_cast<Writer*>(group.NextColumn());
  for (const auto* value : rows) {
    const int16_t level = value == nullptr ? 0 : 1;
    writer->WriteBatch(1, &level, nullptr, value);
  }
}

void write_group(parquet::RowGroupWriter& group, const Texts& texts) {
  std::vector<parquet::ByteArray> values;
  values.reserve(texts.size());
  std::vector<const parquet::ByteArray*> rows;
  for (const auto& text : texts) {
    values.emplace_back(static_cast<uint32_t>(text.size()),
                        reinterpret_cast<const uint8_t*>(text.data()));
    rows.push_back(text == kNull ? nullptr : &values.back());
  }
  write_column<parquet::ByteArrayWriter>(group, rows);
  const parquet::ByteArray other(3, reinterpret_cast<const uint8_t*>("abc"));
  const double score = 3.5;
  const int64_t count = 12;
  const std::vector<const parquet::ByteArray*> others(texts.size(), &other);
  for (int i = 0; i < 5; ++i) {
    write_column<parquet::ByteArrayWriter>(group, others);
  }
  for (int i = 0; i < 2; ++i) {
    write_column<parquet::DoubleWriter>(group, std::vector<const double*>(texts.size(), &score));
    write_column<parquet::Int64Writer>(group, std::vector<const int64_t*>(texts.size(), &count));
  }
}

/// A file of FineWeb-Edu's schema with one row group for each list of texts.
std::filesystem::path write_parquet(const TestDirectory& directory,
                                    const std::vector<Texts>& groups) {
  const auto path = directory.path() / "a.parquet";
  const auto out = arrow::io::FileOutputStream::Open(path.string()).ValueOrDie();
  parquet::WriterProperties::Builder properties;
  properties.data_pagesize(256);  // several pages to a row group
  const auto writer =
      parquet::ParquetFileWriter::Open(out, schema_of_fineweb_edu(), properties.build());
  for (const auto& texts : groups) {
    write_group(*writer->AppendRowGroup(), texts);
  }
  writer->Close();
  return path;
}

std::string text_number(int number) {
  return fmt::format("Row {} tells of the mill by the river, {} times over.", number, number % 7) +
         std::string(static_cast<size_t>(number) % 90, 'x');
}

std::vector<Texts> many_groups() {
  std::vector<Texts> groups(3);
  for (int number = 0; number < 500; ++number) {
    groups[number < 200 ? 0 : number < 201 ? 1 : 2].push_back(text_number(number));
  }
  return groups;
}

TEST(ParquetTexts, GivesTheColumnTextRowByRowThroughAllGroupsAndPages) {
  const TestDirectory directory;
  ParquetTexts texts(write_parquet(directory, many_groups()));
  std::string text;
  for (int number = 0; number < 500; ++number) {
    ASSERT_EQ(texts.next(text), ParquetTexts::Row::kText);
    ASSERT_EQ(text, text_number(number));
    ASSERT_EQ(texts.row(), number + 1);
  }
  EXPECT_EQ(texts.next(text), ParquetTexts::Row::kEnd);
  EXPECT_EQ(texts.bytes_read(), std::filesystem::file_size(directory.path() / "a.parquet"));
}

TEST(ParquetTexts, GoesOnBehindAnyRow) {
  const TestDirectory directory;
  const auto path = write_parquet(directory, many_groups());
  std::string text;
  for (const int row : {0, 1, 63, 64, 65, 199, 200, 201, 202, 499}) {
    ParquetTexts texts(path);
    texts.skip_to(row);
    EXPECT_EQ(texts.row(), row);
    ASSERT_EQ(texts.next(text), ParquetTexts::Row::kText);
    EXPECT_EQ(text, text_number(row));
  }
  ParquetTexts texts(path);
  texts.skip_to(500);
  EXPECT_EQ(texts.next(text), ParquetTexts::Row::kEnd);
  expect_contains(error_of(ErrorCode::kData, [&] { ParquetTexts(path).skip_to(501); }),
                  "expected at least 501 rows, up to which it was read before, got 500.");
}

TEST(ParquetTexts, AReaderOfDocumentsCountsRowsWithoutOne) {
  const TestDirectory directory;
  const auto path = write_parquet(
      directory, {{"one", kNull, "", "two"}, {kNull}, {"caf\xc3\xa9", "broken \xc3", "three"}});
  TextReader reader(path, {.skip = INT64_MAX});
  Texts documents;
  std::string document;
  while (reader.next(document)) {
    documents.push_back(document);
  }
  EXPECT_EQ(documents, (Texts{"one", "two", "caf\xc3\xa9", "three"}));
  const auto& report = reader.report();
  EXPECT_EQ(report.documents, 4);
  EXPECT_EQ(report.empty_documents, 1);
  EXPECT_EQ(report.invalid_json_lines, 2);
  EXPECT_EQ(report.invalid_utf8_documents, 1);
  EXPECT_EQ(report.first_bad_line, 2);
  EXPECT_EQ(report.bad_lines.back().reason, "invalid UTF-8 at byte 8");
  TextReader resumed(path);
  resumed.resume({.line = 4, .bytes = 0, .counts = {}}, {});
  ASSERT_TRUE(resumed.next(document));
  EXPECT_EQ(document, "caf\xc3\xa9");
  TextReader strict(path);
  ASSERT_TRUE(strict.next(document));
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { strict.next(document); }),
            path.string() + ":2: the row has no text in \"text\". Correct or drop the line.");
}

TEST(ParquetTexts, RefusesFilesWithoutSuchAColumn) {
  const TestDirectory directory;
  const auto write = [&](parquet::schema::NodePtr node) {
    const auto path = directory.path() / "b.parquet";
    const auto out = arrow::io::FileOutputStream::Open(path.string()).ValueOrDie();
    const auto schema = std::static_pointer_cast<parquet::schema::GroupNode>(
        parquet::schema::GroupNode::Make("schema", parquet::Repetition::REQUIRED, {node}));
    parquet::ParquetFileWriter::Open(out, schema)->Close();
    return path;
  };
  const auto other = write(column("content", parquet::Type::BYTE_ARRAY));
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { const ParquetTexts texts(other); }),
            other.string() + ": expected a column \"text\", got 1 columns, none of that name.");
  const auto number = write(column("text", parquet::Type::INT64));
  expect_contains(error_of(ErrorCode::kData, [&] { const ParquetTexts texts(number); }),
                  "expected a text per row in the column \"text\", got ");
}

TEST(ParquetTexts, RefusesWhatIsNoWholeParquetFile) {
  const TestDirectory directory;
  const auto path = directory.write("c.parquet", "these are no columns");
  expect_contains(error_of(ErrorCode::kData, [&] { const ParquetTexts texts(path); }),
                  path.string() + ": expected a whole Parquet file, got an error after row 0: ");
  auto bytes = testing::content_of(write_parquet(directory, many_groups()));
  std::fill(bytes.begin() + 4000, bytes.begin() + 4600, '\xff');
  const auto damaged = directory.write("d.parquet", bytes);
  expect_contains(error_of(ErrorCode::kData,
                           [&] {
                             ParquetTexts texts(damaged);
                             std::string text;
                             while (texts.next(text) != ParquetTexts::Row::kEnd) {
                             }
                           }),
                  "expected a whole Parquet file, got an error after row ");
  const auto absent = directory.path() / "absent.parquet";
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { const ParquetTexts texts(absent); }),
            absent.string() + ": cannot open: No such file or directory.");
}

#else

TEST(ParquetTexts, ABuildWithoutArrowTellsWhatToDo) {
  const TestDirectory directory;
  const auto path = directory.write("a.parquet", "PAR1");
  EXPECT_FALSE(ParquetTexts::is_available());
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { const TextReader reader(path); }),
            path.string() +
                ": expected a build with Apache Arrow, which reads Parquet, got one without. "
                "Turn the file into lines of JSON with: pip install duckdb && python3 -c 'import "
                "duckdb; duckdb.sql(\"COPY (SELECT text FROM read_parquet($$" +
                path.string() + "$$)) TO $$" + (directory.path() / "a").string() +
                ".jsonl.zst$$ (FORMAT json, COMPRESSION zstd)\")'. Or build with Arrow, as "
                "docs/data.md tells.");
}

#endif

}  // namespace
}  // namespace loopbank
