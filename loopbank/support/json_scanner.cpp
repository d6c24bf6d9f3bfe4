#include "loopbank/support/json_scanner.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <system_error>
#include <vector>

namespace loopbank {
namespace {

constexpr std::string_view kMark = "\xEF\xBB\xBF";
constexpr uint32_t kFirstHigh = 0xD800;  // the first halves of surrogate pairs
constexpr uint32_t kFirstLow = 0xDC00;   // the second ones
constexpr uint32_t kBehindLow = 0xE000;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Bytes that stand in a text as they are: no quote, no backslash, no control character.
constexpr std::array<bool, 256> plain_bytes() {
  std::array<bool, 256> plain{};
  for (size_t byte = 0x20; byte < plain.size(); ++byte) {
    plain[byte] = byte != '"' && byte != '\\';
  }
  return plain;
}
constexpr auto kPlain = plain_bytes();

void append_utf8(std::string& text, uint32_t code) {
  const auto tail = [&](unsigned shift) {
    text += static_cast<char>(0x80U | ((code >> shift) & 0x3FU));
  };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xC0U | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xE0U | (code >> 12));
    tail(6);
    tail(0);
  } else {
    text += static_cast<char>(0xF0U | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

class JsonScanner {
 public:
  JsonScanner(std::string_view text, JsonEvents& events) : text_(text), events_(events) {}

  std::optional<JsonStop> scan() {
    at_ = text_.starts_with(kMark) ? kMark.size() : 0;
    if (scan_value()) {
      return std::nullopt;
    }
    return std::move(stop_);
  }

 private:
  bool scan_value() {
    value_is_due_ = true;
    while (true) {
      skip_blanks();
      if (value_is_due_) {
        if (!begin_value()) {
          return false;
        }
      } else if (open_.empty()) {
        return at_ == text_.size() || refuse("end of input");
      } else if (!go_on()) {
        return false;
      }
    }
  }

  void skip_blanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }
  /// The next byte; 0 behind the last, and for a NUL byte, which no place takes.
  [[nodiscard]] char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(std::string_view word) {
    const bool is_there = text_.substr(at_, word.size()) == word;
    at_ += is_there ? word.size() : 0;
    return is_there;
  }

  /// What is no JSON: the next byte, where something else was expected.
  bool refuse(std::string_view expected) {
    const bool ended = at_ >= text_.size();
    const auto byte = static_cast<unsigned char>(next());
    const auto found = ended                        ? std::string("end of input")
                       : byte == 0                  ? std::string("NUL byte")
                       : byte > 0x20 && byte < 0x7F ? fmt::format("'{}'", next())
                                                    : fmt::format("byte 0x{:02x}", byte);
    stop_ = {ended ? std::max<size_t>(text_.size(), 1) - 1 : at_,
             fmt::format("unexpected {}; expected {}", found, expected)};
    return false;
  }
  /// What an event answered: it ends the reading at the byte that was read last.
  bool told(bool goes_on) {
    if (!goes_on) {
      stop_ = {at_ - 1, ""};
    }
    return goes_on;
  }

  /// Reads a value, or the beginning of one that holds others.
  bool begin_value() {
    switch (next()) {
      case '{':
      case '[':
        return open();
      case '"':
        value_is_due_ = false;
        return take_text() && told(is_whole_ ? events_.text(buffer_) : events_.unreadable(spelt()));
      default:
        value_is_due_ = false;
        begin_ = at_;
        return next() == '-' || is_digit(next()) ? take_number() : take_word();
    }
  }

  bool open() {
    const bool is_object = next() == '{';
    ++at_;
    if (!told(is_object ? events_.begin_object() : events_.begin_list())) {
      return false;
    }
    open_.push_back(is_object ? '}' : ']');
    skip_blanks();
    if (next() == open_.back()) {
      return close();
    }
    value_is_due_ = true;
    return !is_object || take_key();
  }

  bool close() {
    const bool is_object = open_.back() == '}';
    ++at_;
    open_.pop_back();
    value_is_due_ = false;
    return told(is_object ? events_.end_object() : events_.end_list());
  }

  /// Behind a value within another: the next one, or the end of what holds both.
  bool go_on() {
    if (next() == open_.back()) {
      return close();
    }
    if (!take(",")) {
      return refuse(fmt::format("',' or '{}'", open_.back()));
    }
    value_is_due_ = true;
    skip_blanks();
    return open_.back() != '}' || take_key();
  }

  bool take_key() {
    if (next() != '"') {
      return refuse("a key in quotes");
    }
    if (!take_text()) {
      return false;
    }
    if (!is_whole_) {
      buffer_ = spelt();
    }
    if (!told(events_.key(buffer_))) {
      return false;
    }
    skip_blanks();
    return take(":") || refuse("':'");
  }

  /// The value's own bytes.
  [[nodiscard]] std::string_view spelt() const { return text_.substr(begin_, at_ - begin_); }

  bool take_word() {
    if (take("true")) {
      return told(events_.boolean(true));
    }
    if (take("false")) {
      return told(events_.boolean(false));
    }
    if (take("null")) {
      return told(events_.null());
    }
    return take("NaN") || take("Infinity") ? told(events_.unreadable(spelt())) : refuse("a value");
  }

  void take_digits() {
    while (is_digit(next())) {
      ++at_;
    }
  }

  bool take_number() {
    const bool is_negative = take("-");
    if (is_negative && take("Infinity")) {
      return told(events_.unreadable(spelt()));
    }
    if (!is_digit(next())) {
      return refuse("a digit");
    }
    if (!take("0")) {
      take_digits();
    }
    bool is_whole = true;
    if (take(".")) {
      is_whole = false;
      if (!is_digit(next())) {
        return refuse("a digit");
      }
      take_digits();
    }
    if (take("e") || take("E")) {
      is_whole = false;
      static_cast<void>(take("+") || take("-"));
      if (!is_digit(next())) {
        return refuse("a digit");
      }
      take_digits();
    }
    return tell_number(is_negative, is_whole);
  }

  bool tell_number(bool is_negative, bool is_whole) {
    const auto digits = spelt();
    const auto* const end = digits.data() + digits.size();
    int64_t integer = 0;
    uint64_t count = 0;
    if (is_whole && is_negative && std::from_chars(digits.data(), end, integer).ec == std::errc()) {
      return told(events_.integer(integer));
    }
    if (is_whole && !is_negative && std::from_chars(digits.data(), end, count).ec == std::errc()) {
      return told(events_.count(count));
    }
    double number = 0.0;
    if (std::from_chars(digits.data(), end, number).ec != std::errc()) {
      // Too large or too near to 0: only strtod tells which.
      number = std::strtod(std::string(digits).c_str(), nullptr);
    }
    return told(std::isfinite(number) ? events_.number(number) : events_.unreadable(digits));
  }

  /// The text that the next quote begins, into the buffer; is_whole_ tells of half surrogate pairs.
  bool take_text() {
    begin_ = at_++;
    buffer_.clear();
    is_whole_ = true;
    while (true) {
      const auto from = at_;
      while (at_ < text_.size() && kPlain[static_cast<unsigned char>(text_[at_])]) {
        ++at_;
      }
      buffer_.append(text_, from, at_ - from);
      if (take("\"")) {
        return true;
      }
      if (!take("\\")) {
        return refuse(at_ == text_.size() ? "'\"' at the end of the text"
                                          : "control characters as escapes");
      }
      if (!take_escape()) {
        return false;
      }
    }
  }

  bool take_escape() {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (take("u")) {
      uint32_t code = 0;
      return take_hex(code) && take_second_half(code);
    }
    const auto letter = at_ < text_.size() ? kLetters.find(text_[at_]) : std::string_view::npos;
    if (letter == std::string_view::npos) {
      return refuse("an escape such as \\n or \\u00e9");
    }
    ++at_;
    buffer_ += kMeanings[letter];
    return true;
  }

  bool take_hex(uint32_t& code) {
    constexpr size_t kDigits = 4;
    const auto digits = text_.substr(at_, kDigits);
    const auto* const begin = digits.data();
    const auto [stop, error] = std::from_chars(begin, begin + digits.size(), code, 16);
    const auto num_digits = error == std::errc() ? static_cast<size_t>(stop - begin) : 0;
    at_ += num_digits;
    return num_digits == kDigits || refuse("four hexadecimal digits behind \\u");
  }

  /// Behind \uXXXX: the other half where this is the first of a pair.
  bool take_second_half(uint32_t code) {
    if (code < kFirstHigh || code >= kBehindLow) {
      append_utf8(buffer_, code);
      return true;
    }
    const auto behind = at_;
    if (code < kFirstLow && take("\\u")) {
      uint32_t low = 0;
      if (!take_hex(low)) {
        return false;
      }
      if (low >= kFirstLow && low < kBehindLow) {
        append_utf8(buffer_, 0x10000 + ((code - kFirstHigh) << 10) + (low - kFirstLow));
        return true;
      }
      at_ = behind;  // no half of this pair, but a character of its own
    }
    is_whole_ = false;
    return true;
  }

  std::string_view text_;
  JsonEvents& events_;
  size_t at_ = 0;
  size_t begin_ = 0;      // of the value or key that is read
  std::string open_;      // what ends the objects and lists that are open, outermost first
  std::string buffer_;    // the text that is read
  bool is_whole_ = true;  // whether that is one in UTF-8
  bool value_is_due_ = true;
  JsonStop stop_;
};

}  // namespace

std::optional<JsonStop> scan_json(std::string_view text, JsonEvents& events) {
  return JsonScanner(text, events).scan();
}

}  // namespace loopbank
