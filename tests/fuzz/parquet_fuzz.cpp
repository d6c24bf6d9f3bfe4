/// Parquet files, in a build with Apache Arrow; without one, the refusal.
///
/// Input: the file.

#include "loopbank/data/parquet_texts.h"

#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  static fuzz::InputFile file;
  const auto& path = file.with(fuzz::as_text(data, size));
  const bool read = fuzz::accepted([&] {
    ParquetTexts texts(path);
    std::string text;
    int64_t rows = 0;
    while (texts.next(text) != ParquetTexts::Row::kEnd) {
      fuzz::require(texts.row() == ++rows, "rows are counted");
    }
    ParquetTexts again(path);
    again.skip_to(rows);
    fuzz::require(again.next(text) == ParquetTexts::Row::kEnd, "as many rows are skipped");
  });
  fuzz::require(!read || ParquetTexts::is_available(), "a build without Arrow reads none");
  return 0;
}
