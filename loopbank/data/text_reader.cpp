#include "loopbank/data/text_reader.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include "loopbank/data/byte_source.h"
#include "loopbank/data/parquet_texts.h"
#include "loopbank/data/text_field.h"
#include "loopbank/data/token_file.h"
#include "loopbank/support/error.h"
#include "loopbank/support/utf8.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kBufferBytes = size_t{1} << 18;

[[noreturn]] void fail_at(const fs::path& path, int64_t line, std::string_view reason) {
  fail(ErrorCode::kData, "{}:{}: {}.", path.string(), line, reason);
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

/// CRLF to LF in place.
void drop_carriage_returns(std::string& text) {
  size_t out = text.find("\r\n");
  if (out == std::string::npos) {
    return;
  }
  for (size_t in = out; in < text.size(); ++in) {
    if (text[in] != '\r' || in + 1 == text.size() || text[in + 1] != '\n') {
      text[out++] = text[in];
    }
  }
  text.resize(out);
}

/// What a file of texts is, however it is packed.
enum class TextForm { kLines, kWhole, kRows };

std::optional<TextForm> form_by_name(const fs::path& path) {
  const auto ending = without_compression(path).extension();
  if (ending == ".jsonl" || ending == ".ndjson") {
    return TextForm::kLines;
  }
  if (ending == ".txt") {
    return TextForm::kWhole;
  }
  return path.extension() == ".parquet" ? std::optional(TextForm::kRows) : std::nullopt;
}

/// Files that are no text, by their first bytes.
struct OtherForm {
  std::string_view begins;
  std::string_view what;
  std::string_view remedy;
};
constexpr std::array<OtherForm, 4> kOtherForms = {
    {{"\x1F\x8B", "gzip's bytes", "Name it as such: .txt.gz or .jsonl.gz."},
     {"\x28\xB5\x2F\xFD", "zstd's bytes", "Name it as such: .txt.zst or .jsonl.zst."},
     {"PAR1", "a Parquet file", "Name it as such: .parquet."},
     {kTokenFileMagic, "a token file", "It holds ids, which `loopbank data inspect` shows."}}};

/// The form of a file whose name does not tell: text, unless it begins as documents in JSON do.
TextForm form_by_content(const fs::path& path, std::string_view first) {
  for (const auto& [begins, what, remedy] : kOtherForms) {
    if (first.starts_with(begins)) {
      fail(ErrorCode::kData, "{}: expected a text, got {}. {}", path.string(), what, remedy);
    }
  }
  if (const auto nul = first.find('\0'); nul != std::string_view::npos) {
    fail(ErrorCode::kData,
         "{}: expected a text, got a NUL byte at byte {}. If it is one all the same, name it .txt.",
         path.string(), nul + 1);
  }
  if (begins_as_documents(first)) {
    return TextForm::kLines;
  }
  if (first.size() >= kBufferBytes && first.starts_with('{') &&
      first.find('\n') == std::string_view::npos) {
    fail(ErrorCode::kData,
         "{}: expected to tell from its first {} bytes whether it is lines of JSON, got an object "
         "that is longer. Name it .jsonl, or .txt if it is one text.",
         path.string(), first.size());
  }
  return TextForm::kWhole;
}

}  // namespace

struct LineReader::Impl {
  fs::path path;
  std::unique_ptr<ByteSource> source;
  std::string buffer = std::string(kBufferBytes, '\0');
  std::string_view window;  // what of the buffer was not given out yet
  int64_t line_number = 0;
  uint64_t bytes_taken = 0;  // from the source

  bool refill() {
    if (window.empty()) {
      window = {buffer.data(), source->read(buffer.data(), buffer.size())};
      bytes_taken += window.size();
      if (window.empty() && !source->problem().empty()) {
        fail_at(path, line_number + 1, source->problem());
      }
    }
    return !window.empty();
  }
};

LineReader::LineReader(const fs::path& path) : LineReader(path, ByteSource::open(path)) {}

LineReader::LineReader(const fs::path& path, std::unique_ptr<ByteSource> source)
    : impl_(std::make_unique<Impl>()) {
  impl_->path = path;
  impl_->source = std::move(source);
}

LineReader::~LineReader() = default;

bool LineReader::next(std::string& line) {
  line.clear();
  bool found_any = false;
  bool ended = false;
  while (!ended && impl_->refill()) {
    found_any = true;
    const auto end = impl_->window.find('\n');
    ended = end != std::string_view::npos;
    line.append(impl_->window.substr(0, end));
    impl_->window.remove_prefix(ended ? end + 1 : impl_->window.size());
    if (line.size() > kMaxLineBytes) {
      fail_at(impl_->path, impl_->line_number + 1,
              fmt::format("expected lines of at most {} bytes, got a longer one", kMaxLineBytes));
    }
  }
  if (!found_any) {
    return false;
  }
  ++impl_->line_number;
  if (!line.empty() && line.back() == '\r') {
    line.pop_back();
  }
  if (impl_->line_number == 1 && line.starts_with(kByteOrderMark)) {
    line.erase(0, kByteOrderMark.size());
  }
  return true;
}

int64_t LineReader::line_number() const {
  return impl_->line_number;
}

uint64_t LineReader::bytes_read() const {
  return impl_->source->file_bytes_read();
}

uint64_t LineReader::position() const {
  return impl_->bytes_taken - impl_->window.size();
}

void LineReader::skip_to(uint64_t position, int64_t line_number) {
  if (!impl_->source->skip(position - this->position())) {
    fail(ErrorCode::kData,
         "{}: expected at least {} bytes of text, up to which it was read before, got fewer. The "
         "file has changed{}.",
         impl_->path.string(), position,
         impl_->source->problem().empty() ? "" : ": " + impl_->source->problem());
  }
  impl_->bytes_taken = position;
  impl_->line_number = line_number;
}

BadLinePolicy BadLinePolicy::of_job(int64_t allowed, int64_t skipped) {
  return {.skip = allowed - skipped,
          .remedy = allowed == 0
                        ? "Correct or drop the line, or pass over N such lines with --skip-bad N."
                        : fmt::format("--skip-bad {} allows no more of them.", allowed)};
}

void BadLinePolicy::refuse(const fs::path& path, const BadLine& bad) const {
  fail(ErrorCode::kData, "{}:{}: {}. {}", path.string(), bad.line, bad.reason, remedy);
}

struct TextReader::Impl {
  fs::path path;
  BadLinePolicy policy;
  TextReaderReport report;
  std::unique_ptr<LineReader> lines;   // of .jsonl
  std::unique_ptr<ByteSource> source;  // of .txt, and of what is not known yet
  std::unique_ptr<ParquetTexts> rows;  // of .parquet
  bool is_open = false;                // whether the form is known
  bool text_was_read = false;
  std::string line;

  void open_as(TextForm form) {
    is_open = true;
    if (form == TextForm::kLines) {
      lines = std::make_unique<LineReader>(path, std::move(source));
    } else if (form == TextForm::kRows) {
      rows = std::make_unique<ParquetTexts>(path);
    }
  }

  /// A pipe is not looked into before it is read: it may be opened again.
  void open_by_content() {
    if (!is_open) {
      open_as(form_by_content(path, source->peek(kBufferBytes)));
    }
  }

  void note_bad(int64_t line_number, std::string reason, int64_t& counter) {
    if (report.num_bad_lines() >= policy.skip) {
      policy.refuse(path, {line_number, std::move(reason)});
    }
    ++counter;
    if (report.first_bad_line == 0) {
      report.first_bad_line = line_number;
    }
    if (report.bad_lines.size() < TextReaderReport::kMaxReported) {
      report.bad_lines.push_back({line_number, std::move(reason)});
    }
  }

  /// Counts the document; false where it holds nothing.
  bool accept(const std::string& document) {
    if (document.empty()) {
      ++report.empty_documents;
      return false;
    }
    ++report.documents;
    report.document_bytes += static_cast<int64_t>(document.size());
    return true;
  }

  bool next_of_jsonl(std::string& document) {
    while (lines->next(line)) {
      const auto valid = valid_utf8_prefix(line);
      if (valid != line.size()) {
        note_bad(lines->line_number(), fmt::format("invalid UTF-8 at column {}", valid + 1),
                 report.invalid_utf8_documents);
        continue;
      }
      if (is_blank(line)) {
        continue;
      }
      if (auto problem = take_text_field(line, document); !problem.empty()) {
        note_bad(lines->line_number(), std::move(problem), report.invalid_json_lines);
        continue;
      }
      if (accept(document)) {
        return true;
      }
    }
    return false;
  }

  bool next_of_parquet(std::string& document) {
    for (auto row = rows->next(document); row != ParquetTexts::Row::kEnd;
         row = rows->next(document)) {
      if (row == ParquetTexts::Row::kNull) {
        note_bad(rows->row(), "the row has no text in \"text\"", report.invalid_json_lines);
        continue;
      }
      if (const auto valid = valid_utf8_prefix(document); valid != document.size()) {
        note_bad(rows->row(), fmt::format("invalid UTF-8 at byte {}", valid + 1),
                 report.invalid_utf8_documents);
        continue;
      }
      if (accept(document)) {
        return true;
      }
    }
    return false;
  }

  void read_all_text(std::string& document) {
    std::string chunk(kBufferBytes, '\0');
    document.clear();
    while (const size_t count = source->read(chunk.data(), chunk.size())) {
      document.append(chunk, 0, count);
      if (document.size() > kMaxLineBytes) {
        fail(ErrorCode::kData,
             "{}: expected a text of at most {} bytes, as it is one document, got a longer "
             "one. Give long corpora as .jsonl, one document per line.",
             path.string(), kMaxLineBytes);
      }
    }
    if (!source->problem().empty()) {
      fail_at(path, 1 + std::count(document.begin(), document.end(), '\n'), source->problem());
    }
    if (document.starts_with(kByteOrderMark)) {
      document.erase(0, kByteOrderMark.size());
    }
    drop_carriage_returns(document);
  }

  bool next_of_txt(std::string& document) {
    if (std::exchange(text_was_read, true)) {
      return false;
    }
    read_all_text(document);
    const auto valid = valid_utf8_prefix(document);
    if (valid != document.size()) {
      const auto bad = document.begin() + static_cast<std::ptrdiff_t>(valid);
      note_bad(1 + std::count(document.begin(), bad, '\n'), "invalid UTF-8",
               report.invalid_utf8_documents);
      return false;
    }
    return accept(document);
  }
};

TextReader::TextReader(const fs::path& path, BadLinePolicy policy)
    : impl_(std::make_unique<Impl>()) {
  impl_->path = path;
  impl_->policy = std::move(policy);
  const auto form = form_by_name(path);
  if (form != TextForm::kRows) {
    impl_->source = ByteSource::open(path);
  }
  if (form) {
    impl_->open_as(*form);
  } else if (fs::is_regular_file(path)) {
    impl_->open_by_content();
  }
}

TextReader::~TextReader() = default;

bool TextReader::next(std::string& document) {
  impl_->open_by_content();
  if (impl_->rows) {
    return impl_->next_of_parquet(document);
  }
  return impl_->lines ? impl_->next_of_jsonl(document) : impl_->next_of_txt(document);
}

const TextReaderReport& TextReader::report() const {
  return impl_->report;
}

TextReaderState TextReader::state() const {
  if (impl_->rows) {
    return {impl_->rows->row(), 0, impl_->report};
  }
  if (impl_->lines) {
    return {impl_->lines->line_number(), impl_->lines->position(), impl_->report};
  }
  return {impl_->text_was_read ? 1 : 0, 0, impl_->report};
}

void TextReader::resume(const TextReaderState& state, std::vector<BadLine> bad_lines) {
  impl_->open_by_content();
  static_cast<TextReaderCounts&>(impl_->report) = state.counts;
  impl_->report.bad_lines = std::move(bad_lines);
  if (impl_->rows) {
    impl_->rows->skip_to(state.line);
  } else if (impl_->lines) {
    impl_->lines->skip_to(state.bytes, state.line);
  } else {
    impl_->text_was_read = state.line > 0;
  }
}

uint64_t TextReader::bytes_read() const {
  if (impl_->rows) {
    return impl_->rows->bytes_read();
  }
  return impl_->lines ? impl_->lines->bytes_read() : impl_->source->file_bytes_read();
}

}  // namespace loopbank
