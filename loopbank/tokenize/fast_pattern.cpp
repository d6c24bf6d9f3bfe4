/// A recursive descent over the pattern, which is rewritten on the way.

#include "loopbank/tokenize/fast_pattern.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>

#include "loopbank/support/utf8.h"
#include "loopbank/tokenize/code_points.h"
#include "loopbank/tokenize/pcre2_class.h"

namespace loopbank {
namespace {

constexpr char32_t kLastCodePoint = 0x10FFFF;
constexpr int kMaxDepth = 30;        // of groups
constexpr size_t kMaxRepeats = 999;  // of {n,m}

CodePointSet all_but(const CodePointSet& set) {
  return CodePointSet({{0, kLastCodePoint}}).without(set);
}

/// A part of the pattern in PCRE2's words.
struct FastPart {
  std::string text = {};
  bool may_be_empty = false;
};

class FastTranslator {
 public:
  explicit FastTranslator(std::string_view pattern) : pattern_(pattern) {}

  std::optional<std::string> translate() {
    const auto whole = alternatives(0);
    const bool taken = whole && at_ == pattern_.size() && !whole->may_be_empty;
    return taken ? std::optional(whole->text) : std::nullopt;
  }

 private:
  [[nodiscard]] bool at_end() const { return at_ == pattern_.size(); }
  [[nodiscard]] char peek() const { return at_end() ? '\0' : pattern_[at_]; }
  bool skip(std::string_view text) {
    const bool is_next = pattern_.substr(at_).starts_with(text);
    at_ += is_next ? text.size() : 0;
    return is_next;
  }

  std::optional<FastPart> alternatives(int depth) {
    if (depth > kMaxDepth) {
      return std::nullopt;
    }
    FastPart whole;
    do {
      const auto part = sequence(depth);
      if (!part) {
        return std::nullopt;
      }
      whole.text += (whole.text.empty() ? "" : "|") + part->text;
      whole.may_be_empty = whole.may_be_empty || part->may_be_empty;
      if (part->text.empty()) {
        return std::nullopt;  // an empty alternative: rare, and `|` at the ends would be lost
      }
    } while (skip("|"));
    return whole;
  }

  std::optional<FastPart> sequence(int depth) {
    FastPart whole{.may_be_empty = true};
    bool after_caseless = false;
    while (!at_end() && peek() != '|' && peek() != ')') {
      const bool is_caseless = pattern_.substr(at_).starts_with("(?i:");
      const auto part = repeated(depth);
      if (!part || (is_caseless && after_caseless)) {
        return std::nullopt;
      }
      after_caseless = is_caseless;
      whole.text += part->text;
      whole.may_be_empty = whole.may_be_empty && part->may_be_empty;
    }
    return whole;
  }

  std::optional<FastPart> repeated(int depth) {
    const bool is_look_ahead =
        pattern_.substr(at_).starts_with("(?=") || pattern_.substr(at_).starts_with("(?!");
    auto part = atom(depth);
    const auto quantifier = read_quantifier();
    if (!part || !quantifier) {
      return std::nullopt;
    }
    if (!quantifier->text.empty()) {
      // What a loop over nothing does differs between programs.
      if (is_look_ahead || part->may_be_empty) {
        return std::nullopt;
      }
      part->text += quantifier->text;
      part->may_be_empty = quantifier->may_be_empty;
    }
    return part;
  }

  /// May be no quantifier: an empty text.
  std::optional<FastPart> read_quantifier() {
    FastPart part;
    const char sign = peek();
    if (sign == '?' || sign == '*' || sign == '+') {
      part = {std::string(1, sign), sign != '+'};
      ++at_;
      if (peek() == '?' || peek() == '+') {  // lazy, possessive
        part.text.push_back(pattern_[at_++]);
      }
    } else if (sign == '{') {
      // {n,m}+ is possessive in PCRE2 and a loop of loops in Oniguruma, {n}? is lazy here and
      // optional there: the check below for a second quantifier refuses both.
      const auto interval = read_interval();
      if (!interval) {
        return std::nullopt;
      }
      part = *interval;
    }
    const bool second = peek() == '?' || peek() == '*' || peek() == '+' || peek() == '{';
    return !part.text.empty() && second ? std::nullopt : std::optional(part);
  }

  /// {n}, {n,} or {n,m}.
  std::optional<FastPart> read_interval() {
    ++at_;
    const auto least = number();
    auto most = least;
    bool has_most = true;
    if (skip(",")) {
      has_most = peek() != '}';
      most = has_most ? number() : least;
    }
    if (!least || !most || *most < *least || *most == 0 || !skip("}")) {
      return std::nullopt;
    }
    auto text = has_most ? fmt::format("{{{},{}}}", *least, *most) : fmt::format("{{{},}}", *least);
    return FastPart{std::move(text), *least == 0};
  }

  std::optional<size_t> number() {
    size_t value = 0;
    const char* const begin = pattern_.data() + at_;
    const auto [end, error] = std::from_chars(begin, pattern_.data() + pattern_.size(), value);
    if (error != std::errc() || value > kMaxRepeats) {
      return std::nullopt;
    }
    at_ += static_cast<size_t>(end - begin);
    return value;
  }

  std::optional<FastPart> atom(int depth) {
    if (skip("(?i:")) {
      return caseless_group();
    }
    for (const std::string_view opening : {"(?:", "(?=", "(?!"}) {
      if (skip(opening)) {
        return group(depth, opening, opening != "(?:");
      }
    }
    if (peek() == '(') {
      ++at_;
      return peek() == '?' || peek() == '*' ? std::nullopt : group(depth, "(?:", false);
    }
    if (peek() == '[') {
      ++at_;
      return bracket();
    }
    if (peek() == '\\') {
      const auto item = escape(/*in_class=*/false);
      return item ? std::optional(FastPart{"[" + item->inside + "]"}) : std::nullopt;
    }
    if (std::string_view(".^$*+?{}]").find(peek()) != std::string_view::npos) {
      return std::nullopt;
    }
    return FastPart{fmt::format("\\x{{{:x}}}", static_cast<uint32_t>(next()))};
  }

  char32_t next() { return next_code_point(pattern_, at_); }

  std::optional<FastPart> group(int depth, std::string_view opening, bool is_look_ahead) {
    auto inside = alternatives(depth + 1);
    if (!inside || !skip(")")) {
      return std::nullopt;
    }
    return FastPart{std::string(opening) + inside->text + ")",
                    is_look_ahead || inside->may_be_empty};
  }

  /// One item of a class: its text for PCRE2, and its character if it is a single one.
  struct ClassItem {
    std::string inside;
    std::optional<char32_t> character = {};
  };
  static ClassItem single(char32_t character) {
    return {fmt::format("\\x{{{:x}}}", static_cast<uint32_t>(character)), character};
  }

  std::optional<FastPart> bracket() {
    std::string inside = skip("^") ? "[^" : "[";
    const size_t begin = at_;
    while (peek() != ']') {
      // A bracket within a class is a class of its own to Oniguruma, && an intersection.
      if (at_end() || peek() == '[' || pattern_.substr(at_).starts_with("&&") ||
          (peek() == '-' && at_ != begin)) {
        return std::nullopt;
      }
      const bool begins_with_minus = peek() == '-';
      auto item = peek() == '\\' ? escape(/*in_class=*/true) : std::optional(single(next()));
      if (!item || (begins_with_minus && peek() == '-')) {
        return std::nullopt;
      }
      if (peek() == '-' && !pattern_.substr(at_).starts_with("-]")) {
        ++at_;
        item = range_from(*item);
      } else if (skip("-")) {  // the last sign of the class is itself
        item->inside += "\\x{2d}";
      }
      if (!item) {
        return std::nullopt;
      }
      inside += item->inside;
    }
    if (at_ == begin) {
      return std::nullopt;
    }
    ++at_;
    return FastPart{inside + "]"};
  }

  std::optional<ClassItem> range_from(const ClassItem& first) {
    if (at_end() || std::string_view("[]-").find(peek()) != std::string_view::npos ||
        pattern_.substr(at_).starts_with("&&")) {
      return std::nullopt;
    }
    const auto last = peek() == '\\' ? escape(/*in_class=*/true) : std::optional(single(next()));
    if (!last || !first.character || !last->character || *last->character < *first.character) {
      return std::nullopt;
    }
    return ClassItem{first.inside + "-" + last->inside};
  }

  std::optional<ClassItem> escape(bool in_class) {
    ++at_;
    if (at_end()) {
      return std::nullopt;
    }
    const char letter = pattern_[at_++];
    switch (letter) {
      case 'r':
        return single('\r');
      case 'n':
        return single('\n');
      case 't':
        return single('\t');
      case 's':
        return ClassItem{pcre2_ranges(white_space())};
      case 'S':
        return ClassItem{pcre2_ranges(all_but(white_space()))};
      case 'x':
        return hexadecimal();
      case 'p':
      case 'P':
        return property(letter == 'P', in_class);
      default:
        break;
    }
    const bool is_sign =
        std::string_view(".*+?()[]{}|^$\\/-").find(letter) != std::string_view::npos;
    return is_sign ? std::optional(single(static_cast<unsigned char>(letter))) : std::nullopt;
  }

  /// \x{H...}
  std::optional<ClassItem> hexadecimal() {
    const auto end = pattern_.find('}', at_);
    if (!skip("{") || end == std::string_view::npos) {
      return std::nullopt;
    }
    uint32_t value = 0;
    const char* const digits = pattern_.data() + at_;
    const auto [behind, error] = std::from_chars(digits, pattern_.data() + end, value, 16);
    at_ = end + 1;
    const bool is_character = value <= kLastCodePoint && (value < 0xD800 || value > 0xDFFF);
    if (error != std::errc() || behind != pattern_.data() + end || !is_character) {
      return std::nullopt;
    }
    return single(value);
  }

  std::optional<ClassItem> property(bool negated, bool in_class) {
    const auto end = pattern_.find('}', at_);
    if (!skip("{") || end == std::string_view::npos) {
      return std::nullopt;
    }
    const auto category = general_category(pattern_.substr(at_, end - at_));
    at_ = end + 1;
    const auto inside = category ? pcre2_class_of(*category) : std::nullopt;
    if (!inside || (negated && in_class)) {  // a class cannot be taken out of another
      return std::nullopt;
    }
    return ClassItem{(negated ? "^" : "") + *inside};
  }

  /// (?i: ... ): alternatives of ASCII letters, signs and plain classes of letters. Every letter
  /// is written out as those that fold to it, so the option itself is not needed.
  std::optional<FastPart> caseless_group() {
    std::string text = "(?:";
    char before = '\0';  // the letter, lower case
    bool empty = true;
    while (!skip(")")) {
      if (skip("|")) {
        if (empty || at_end()) {
          return std::nullopt;
        }
        text.push_back('|');
        before = '\0';
        empty = true;
        continue;
      }
      const auto letters = caseless_letters();
      if (letters.empty()) {
        return std::nullopt;
      }
      text.push_back('[');
      for (const char letter : letters) {
        if (folds_with(before, letter)) {
          return std::nullopt;
        }
        text += case_variants(letter);
      }
      text.push_back(']');
      before = letters.size() == 1 ? letters[0] : '*';
      empty = false;
    }
    return empty ? std::nullopt : std::optional(FastPart{text + ")"});
  }

  /// The next letter or class of letters, lower case; empty for anything else.
  std::string caseless_letters() {
    const auto is_plain = [](char c) {
      return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '\'' || c == ' ';
    };
    const bool is_class = skip("[");
    std::string letters;
    while (is_plain(peek())) {
      letters.push_back(
          static_cast<char>(std::tolower(static_cast<unsigned char>(pattern_[at_++]))));
      if (!is_class) {
        return letters;
      }
    }
    return is_class && skip("]") ? letters : std::string();
  }

  /// Whether a ligature folds to the two letters: Oniguruma would match it.
  static bool folds_with(char before, char letter) {
    return (before == 's' && (letter == 's' || letter == 't')) ||
           (before == 'f' && (letter == 'f' || letter == 'i' || letter == 'l')) ||
           (before == '*' &&
            (letter == 's' || letter == 't' || letter == 'f' || letter == 'i' || letter == 'l'));
  }

  static std::string case_variants(char letter) {
    if (std::isalpha(static_cast<unsigned char>(letter)) == 0) {
      return fmt::format("\\x{{{:x}}}", static_cast<unsigned char>(letter));
    }
    std::string variants{letter,
                         static_cast<char>(std::toupper(static_cast<unsigned char>(letter)))};
    variants += letter == 's' ? "\\x{17f}" : letter == 'k' ? "\\x{212a}" : "";
    return variants;
  }

  std::string_view pattern_;
  size_t at_ = 0;
};

}  // namespace

std::optional<std::string> pcre2_equivalent(std::string_view pattern) {
  return is_valid_utf8(pattern) ? FastTranslator(pattern).translate() : std::nullopt;
}

}  // namespace loopbank
