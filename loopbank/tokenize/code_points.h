#pragma once
/// Sets of characters by their Unicode properties, as of Unicode 16.
///
/// The libraries of Debian 12 know Unicode 14, those of Debian 13 know 15 and 16. Hugging Face's
/// `tokenizers` 0.22 knows 16. So that the same text gives the same ids everywhere, the letters,
/// marks, numbers, punctuation and symbols that 15.0 to 16.0 brought are listed here and added to
/// what a library knows. Rejected: complete tables of our own; the libraries have them.

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace loopbank {

/// A first and a last code point, both within.
struct CodePointRange {
  char32_t first = 0;
  char32_t last = 0;
  bool operator==(const CodePointRange&) const = default;
};

class CodePointSet {
 public:
  CodePointSet() = default;
  /// @param ranges  in any order; they may touch and overlap
  explicit CodePointSet(std::vector<CodePointRange> ranges);

  [[nodiscard]] bool contains(char32_t code_point) const;
  /// In order, apart from each other by one code point or more.
  [[nodiscard]] const std::vector<CodePointRange>& ranges() const { return ranges_; }
  [[nodiscard]] CodePointSet without(const CodePointSet& other) const;
  [[nodiscard]] CodePointSet with(const CodePointSet& other) const;
  bool operator==(const CodePointSet& other) const { return ranges_ == other.ranges_; }

 private:
  std::vector<CodePointRange> ranges_;
  std::vector<bool> low_;  // [kNumLow] whether the first code points are within
};

/// The general category of a property's name as a pattern may spell it: "Lu" for "lu" and for
/// "Uppercase_Letter"; nothing for other properties.
[[nodiscard]] std::optional<std::string> general_category(std::string_view property);

/// The characters of \p{NAME}: those that Oniguruma knows and newer ones. The name is one of
/// Oniguruma's: a general category, a script, White_Space, Alphabetic, ...
[[nodiscard]] std::optional<CodePointSet> code_points_of(std::string_view property);

/// Oniguruma's tables of properties and its compiler are used by one thread at a time.
[[nodiscard]] std::recursive_mutex& oniguruma_mutex();

/// What Unicode 15.0 to 16.0 added to a general category ("L", "Lu") or to the script "Han".
[[nodiscard]] CodePointSet newer_code_points(std::string_view category);

/// White space (White_Space), which has not changed since Unicode 6.3.
[[nodiscard]] const CodePointSet& white_space();
/// Numbers (N), with the 13 of Unicode 17 that the Digits step of `tokenizers` 0.22.2 knows.
[[nodiscard]] const CodePointSet& digits_of_step();
/// The punctuation of the steps Punctuation and BertPreTokenizer: ASCII's signs and symbols and
/// the punctuation that the library behind `tokenizers` knows, whose tables are those of 2015.
[[nodiscard]] const CodePointSet& punctuation_of_step();
/// \w of the step Whitespace: Alphabetic, marks, decimal digits, connectors and joiners.
[[nodiscard]] const CodePointSet& word_characters_of_step();

/// Appends a code point as UTF-8.
void append_utf8(std::string& text, char32_t code_point);
/// The code point that begins at `at` of well-formed UTF-8; `at` moves behind it.
[[nodiscard]] char32_t next_code_point(std::string_view text, size_t& at);

}  // namespace loopbank
