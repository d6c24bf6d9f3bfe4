#pragma once
/// Regular expressions as the files of tokenizers mean them: Oniguruma's, in its own syntax.
///
/// Hugging Face's `tokenizers` matches with Oniguruma, so that is the meaning of every pattern
/// here: nested classes and && within them, \h for hexadecimal digits, ^ and $ at line borders,
/// (?m) for a dot that matches line feeds, look-behind, matches of nothing. A pattern whose meaning
/// is certain to be the same in PCRE2 runs there, which is several times as fast
/// (tokenize/fast_pattern.h). Letters, marks, numbers, punctuation and symbols (\p{..} by general
/// category, and \p{Han}) are those of Unicode 16; \w, \d, \b, POSIX brackets and other properties
/// follow the installed Oniguruma (14 in 6.9.8, 15.1 in 6.9.9): characters that are newer than it
/// are none of these.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "loopbank/tokenize/pcre2_code.h"

namespace loopbank {

enum class RegexEngine { kFastest, kOniguruma };

/// A compiled regular expression, shared by threads; each thread has its own Matcher.
class Regex {
 public:
  /// What one thread needs to match.
  class Matcher {
   public:
    Matcher();
    ~Matcher();
    Matcher(const Matcher&) = delete;
    Matcher& operator=(const Matcher&) = delete;

   private:
    friend class Regex;
    struct Oniguruma;
    Pcre2MatchData pcre2_;
    std::unique_ptr<Oniguruma> oniguruma_;
  };

  /// @param engine  kFastest: PCRE2 where the pattern means the same there
  /// @throws Error kData with Oniguruma's reason when it does not compile
  explicit Regex(const std::string& pattern, RegexEngine engine = RegexEngine::kFastest);
  ~Regex();
  Regex(Regex&& other) noexcept;
  Regex& operator=(Regex&& other) noexcept;
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  /// Whether PCRE2 matches this pattern.
  [[nodiscard]] bool is_fast() const { return fast_.has_value(); }

  /// The first match that starts at or after `from`; it may be of nothing.
  /// @param text  well-formed UTF-8 of less than 2 GiB
  /// @throws Error kData when the pattern backtracks beyond the limits or moves its own start
  [[nodiscard]] std::optional<RegexMatch> search(std::string_view text, size_t from,
                                                 Matcher& matcher) const {
    return fast_ ? fast_->search(text, from, matcher.pcre2_) : search_slowly(text, from, matcher);
  }

  /// Calls visit(begin, end) for every match in order. They do not overlap. A match of nothing
  /// right behind another match is passed over, so that every call gets on.
  template <typename Visit>
  void for_each_match(std::string_view text, Matcher& matcher, Visit&& visit) const {
    size_t from = 0;
    size_t last_end = std::string_view::npos;
    while (from <= text.size()) {
      const auto match = search(text, from, matcher);
      if (!match) {
        return;
      }
      if (match->begin == match->end && match->end == last_end) {
        from = behind_character(text, from);
        continue;
      }
      visit(match->begin, match->end);
      from = last_end = match->end;
    }
  }

 private:
  static size_t behind_character(std::string_view text, size_t at);
  [[nodiscard]] std::optional<RegexMatch> search_slowly(std::string_view text, size_t from,
                                                        Matcher& matcher) const;

  struct Oniguruma;
  std::optional<Pcre2Code> fast_;
  std::unique_ptr<Oniguruma> slow_;  // where there is no fast one
};

/// Backtracking steps within one match and within one search; and places to go back to.
inline constexpr unsigned long kMaxMatchSteps = 10'000'000;  // as in `tokenizers`
inline constexpr unsigned long kMaxSearchSteps = 200'000'000;
inline constexpr unsigned int kMaxMatchStack = 16'000'000;  // 40 bytes each

}  // namespace loopbank
