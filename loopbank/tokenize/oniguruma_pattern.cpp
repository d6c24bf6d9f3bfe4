#include "loopbank/tokenize/oniguruma_pattern.h"

#include <fmt/format.h>
#include <oniguruma.h>

#include <algorithm>
#include <cctype>
#include <list>
#include <optional>
#include <set>
#include <vector>

#include "loopbank/support/error.h"
#include "loopbank/tokenize/code_points.h"

namespace loopbank {
namespace {

// Names of ours; Oniguruma has \p{Punct} and \p{Word} with other characters.
constexpr const char* kPunctuationAndSymbols = "loopbankpunct";
constexpr const char* kWordAlone = "loopbankword";

CodePointSet there(std::string_view property) {
  return code_points_of(property).value_or(CodePointSet());
}

/// Alphabetic: new letters, new marks that are, and old marks that have become so since 14.
CodePointSet alphabetic() {
  static constexpr CodePointRange kMarks[] = {
      {0x363, 0x36F},     {0xC04, 0xC04},     {0xF82, 0xF83},     {0x1DD3, 0x1DE6},
      {0x11080, 0x11081}, {0x897, 0x897},     {0xCF3, 0xCF3},     {0x10D69, 0x10D69},
      {0x10EFC, 0x10EFC}, {0x11241, 0x11241}, {0x113B8, 0x113C0}, {0x113C2, 0x113C2},
      {0x113C5, 0x113C5}, {0x113C7, 0x113CA}, {0x113CC, 0x113CD}, {0x11F00, 0x11F01},
      {0x11F03, 0x11F03}, {0x11F34, 0x11F3A}, {0x11F3E, 0x11F40}, {0x1611E, 0x1612E},
      {0x1E08F, 0x1E08F}};
  return there("Alphabetic")
      .with(newer_code_points("L"))
      .with(CodePointSet({std::begin(kMarks), std::end(kMarks)}));
}

CodePointSet lower_case() {
  const CodePointSet modifiers(
      {{0x10FC, 0x10FC}, {0xA7F2, 0xA7F4}, {0xAB69, 0xAB69}, {0x1E030, 0x1E06D}});
  return there("Lowercase").with(newer_code_points("Ll")).with(modifiers);
}

CodePointSet word_in_class() {
  return there("Word")
      .with(newer_code_points("L"))
      .with(newer_code_points("M"))
      .with(newer_code_points("Nd"))
      .with(newer_code_points("Pc"));
}

CodePointSet graphic(std::string_view property) {
  auto set = there(property).with(CodePointSet({{0x13439, 0x1343F}}));  // new format characters
  for (const std::string_view category : {"L", "M", "N", "P", "S"}) {
    set = set.with(newer_code_points(category));
  }
  return set;
}

/// The characters of a property of this name as of Unicode 16; nothing for those left alone.
/// @param name  without case, blanks, '-' and '_'
std::optional<CodePointSet> modern_set(const std::string& name) {
  if (name == "alpha" || name == "alphabetic") {
    return alphabetic();
  }
  if (name == "alnum") {
    return alphabetic().with(there("Nd"));
  }
  if (name == "lower" || name == "lowercase") {
    return lower_case();
  }
  if (name == "upper" || name == "uppercase") {
    return there("Uppercase").with(newer_code_points("Lu"));
  }
  if (name == "graph" || name == "print") {
    return graphic(name);
  }
  if (name == "word") {
    return word_in_class();
  }
  if (name == kWordAlone) {  // outside of classes Oniguruma counts six signs of Latin-1 as well
    return word_in_class().with(CodePointSet({{0xB2, 0xB3}, {0xB9, 0xB9}, {0xBC, 0xBE}}));
  }
  if (name == kPunctuationAndSymbols) {
    return there("P").with(there("S"));
  }
  if (name == "digit" || name == "punct") {
    return there(name == "digit" ? "Nd" : "P");
  }
  const auto category = general_category(name);
  const bool any_newer = category && !newer_code_points(*category).ranges().empty();
  return any_newer ? code_points_of(*category) : std::nullopt;
}

/// Hands the property to Oniguruma, which looks names up among those of a program before its own.
/// Whether there is such a property.
bool define_property(const std::string& name) {
  static std::set<std::string> defined;
  static std::list<std::vector<OnigCodePoint>> tables;  // Oniguruma keeps the addresses
  if (defined.contains(name)) {
    return true;
  }
  const auto set = modern_set(name);
  if (!set) {
    return false;
  }
  std::vector<OnigCodePoint> table = {static_cast<OnigCodePoint>(set->ranges().size())};
  for (const auto& range : set->ranges()) {
    table.push_back(range.first);
    table.push_back(range.last);
  }
  tables.push_back(std::move(table));
  if (onig_unicode_define_user_property(name.c_str(), tables.back().data()) != ONIG_NORMAL) {
    fail(ErrorCode::kData,
         "regex: expected patterns that name at most {} properties together, got {} as one more. "
         "Start a process of its own for this tokenizer.",
         defined.size(), name);
  }
  defined.insert(name);
  return true;
}

std::string plain_name(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c != ' ' && c != '-' && c != '_') {
      plain.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
    }
  }
  return plain;
}

/// Whether options such as (?W) confine classes to ASCII, or (?y{..}) gives \b another meaning.
bool has_other_classes(std::string_view pattern) {
  for (auto at = pattern.find("(?"); at != std::string_view::npos;
       at = pattern.find("(?", at + 2)) {
    const auto rest = pattern.substr(at + 2);
    const auto letters = rest.substr(0, rest.find_first_of(":)<=!>#"));
    if (letters.find_first_of("WDSPy") != std::string_view::npos) {
      return true;
    }
  }
  return false;
}

/// Copies a pattern from front to back.
class PatternModernizer {
 public:
  explicit PatternModernizer(std::string_view pattern) : pattern_(pattern) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (depth_ == 0 && rest().starts_with("(?#")) {
        copy(rest().find(')'));
      } else if (c == '\\') {
        escape();
      } else if (c == '[') {
        if (depth_ == 0 || !posix_bracket()) {
          open_class();
        }
      } else {
        depth_ -= c == ']' && depth_ > 0 ? 1 : 0;
        copy(1);
      }
    }
    return std::move(modern_);
  }

 private:
  [[nodiscard]] std::string_view rest() const { return pattern_.substr(at_); }
  void copy(size_t bytes) {
    bytes = std::min(bytes, pattern_.size() - at_);
    modern_ += pattern_.substr(at_, bytes);
    at_ += bytes;
  }
  void replace(size_t bytes, std::string_view property, bool negated) {
    modern_ += negated ? "\\P{" : "\\p{";
    modern_ += property;
    modern_ += "}";
    at_ += bytes;
  }

  void open_class() {
    ++depth_;
    copy(rest().starts_with("[^") ? 2 : 1);
    if (rest().starts_with("]") && rest().find(']', 1) != std::string_view::npos) {
      copy(1);  // the first sign of a class closes nothing
    }
  }

  void escape() {
    const char letter = rest().size() > 1 ? rest()[1] : '\0';
    if ((letter == 'w' || letter == 'W') && define_property(word_name())) {
      replace(2, word_name(), letter == 'W');
    } else if ((letter == 'd' || letter == 'D') && define_property("digit")) {
      replace(2, "digit", letter == 'D');
    } else if ((letter == 'b' || letter == 'B') && depth_ == 0 && define_property(kWordAlone)) {
      border(letter == 'B');
    } else if ((letter != 'p' && letter != 'P') || !property(letter == 'P')) {
      copy(2);
    }
  }
  /// Between a word character and what is none, or the other places.
  void border(bool negated) {
    const auto word = fmt::format("\\p{{{}}}", kWordAlone);
    modern_ += negated ? fmt::format("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))", word)
                       : fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", word);
    at_ += 2;
  }
  [[nodiscard]] std::string word_name() const { return depth_ > 0 ? "word" : kWordAlone; }

  bool property(bool negated) {
    const auto end = rest().find('}');
    if (rest().size() < 3 || rest()[2] != '{' || end == std::string_view::npos) {
      return false;
    }
    auto name = rest().substr(3, end - 3);
    if (name.starts_with('^')) {
      name.remove_prefix(1);
      negated = !negated;
    }
    auto plain = plain_name(name);
    if (plain == "word") {
      plain = word_name();
    }
    const auto category = general_category(plain);
    plain = category ? plain_name(*category) : plain;
    if (!define_property(plain)) {
      return false;
    }
    replace(end + 1, plain, negated);
    return true;
  }

  /// [:name:] or [:^name:] within a class.
  bool posix_bracket() {
    const auto end = rest().find(":]");
    if (!rest().starts_with("[:") || end == std::string_view::npos) {
      return false;
    }
    auto name = rest().substr(2, end - 2);
    const bool negated = name.starts_with('^');
    name.remove_prefix(negated ? 1 : 0);
    for (const std::string_view posix :
         {"alpha", "alnum", "lower", "upper", "graph", "print", "word", "digit", "punct"}) {
      if (name == posix) {
        const std::string property = name == "punct" ? kPunctuationAndSymbols : std::string(name);
        (void)define_property(property);
        replace(end + 2, property, negated);
        return true;
      }
    }
    copy(end + 2);
    return true;
  }

  std::string_view pattern_;
  std::string modern_;
  size_t at_ = 0;
  int depth_ = 0;  // of classes
};

}  // namespace

std::string with_unicode_16(std::string_view pattern) {
  return has_other_classes(pattern) ? std::string(pattern) : PatternModernizer(pattern).run();
}

}  // namespace loopbank
