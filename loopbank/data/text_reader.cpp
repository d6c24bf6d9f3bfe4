#include "loopbank/data/text_reader.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "loopbank/data/byte_source.h"
#include "loopbank/data/parquet_texts.h"
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

/// Takes the field `text` out of one JSON object while it is parsed; everything else is checked
/// and dropped, so that provenance keys cost no memory.
class TextField : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit TextField(std::string& text) : text_(text) {}

  /// Why the line is no document; empty where it is one.
  [[nodiscard]] std::string problem() const {
    if (!syntax_problem_.empty()) {
      return syntax_problem_;
    }
    if (!is_object_) {
      return "expected a JSON object with the field \"text\", got another JSON value";
    }
    return state_ == State::kMissing ? "the JSON object has no field \"text\""
           : state_ == State::kTwice ? "expected one field \"text\", got another one"
           : state_ == State::kWrongType
               ? fmt::format("the field \"text\" must be a string, got {}", found_type_)
               : "";
  }

  bool null() override { return other("null"); }
  bool boolean(bool) override { return other("a boolean"); }
  bool number_integer(number_integer_t) override { return other("a number"); }
  bool number_unsigned(number_unsigned_t) override { return other("a number"); }
  bool number_float(number_float_t, const string_t&) override { return other("a number"); }
  bool binary(binary_t&) override { return other("binary data"); }
  bool string(string_t& value) override {
    if (at_text()) {
      text_ = value;
      found(State::kFound);
    }
    return true;
  }
  bool key(string_t& value) override {
    key_is_text_ = value == "text";
    return true;
  }
  bool start_object(size_t) override {
    is_object_ = is_object_ || depth_ == 0;
    other("an object");
    ++depth_;
    return true;
  }
  bool start_array(size_t) override {
    other("an array");
    ++depth_;
    return true;
  }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    syntax_problem_ = fmt::format("broken JSON at column {}", position);
    return false;
  }

 private:
  enum class State { kMissing, kFound, kWrongType, kTwice };

  [[nodiscard]] bool at_text() const { return depth_ == 1 && key_is_text_; }
  /// Which of two texts is meant nobody knows.
  void found(State what) { state_ = state_ == State::kMissing ? what : State::kTwice; }
  bool other(const char* type) {
    if (at_text()) {
      found(State::kWrongType);
      found_type_ = type;
    }
    return true;
  }
  bool leave() {
    --depth_;
    return true;
  }

  std::string& text_;
  std::string syntax_problem_;
  const char* found_type_ = "";
  State state_ = State::kMissing;
  int64_t depth_ = 0;
  bool key_is_text_ = false;
  bool is_object_ = false;
};

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

LineReader::LineReader(const fs::path& path) : impl_(std::make_unique<Impl>()) {
  impl_->path = path;
  impl_->source = ByteSource::open(path);
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

struct TextReader::Impl {
  fs::path path;
  bool strict = false;
  TextReaderReport report;
  std::unique_ptr<LineReader> lines;   // .jsonl
  std::unique_ptr<ByteSource> source;  // .txt
  std::unique_ptr<ParquetTexts> rows;  // .parquet
  bool text_was_read = false;
  std::string line;

  void note_bad(int64_t line_number, std::string reason, int64_t& counter) {
    if (strict) {
      fail_at(path, line_number, reason);
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
      if (const auto nul = line.find('\0');
          nul != std::string::npos) {  // the parser would end there
        note_bad(lines->line_number(), fmt::format("a NUL byte at column {}", nul + 1),
                 report.invalid_json_lines);
        continue;
      }
      TextField field(document);
      nlohmann::json::sax_parse(line, &field);
      if (auto problem = field.problem(); !problem.empty()) {
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
             "{}: expected a .txt file of at most {} bytes, as it is one document, got a longer "
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

TextReader::TextReader(const fs::path& path, bool strict) : impl_(std::make_unique<Impl>()) {
  impl_->path = path;
  impl_->strict = strict;
  const auto form = without_compression(path).extension();
  if (form == ".jsonl") {
    impl_->lines = std::make_unique<LineReader>(path);
  } else if (form == ".txt") {
    impl_->source = ByteSource::open(path);
  } else if (path.extension() == ".parquet") {
    impl_->rows = std::make_unique<ParquetTexts>(path);
  } else {
    fail(ErrorCode::kData,
         "{}: expected a name that ends in .jsonl or .txt (with .gz or .zst after it where it is "
         "compressed) or in .parquet, got \"{}\".",
         path.string(), path.filename().string());
  }
}

TextReader::~TextReader() = default;

bool TextReader::next(std::string& document) {
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
