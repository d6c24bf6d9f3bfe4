#pragma once
/// Cuts text into the words that BPE merges within: GPT-2's pattern and the steps around it.
///
///     text -> step 1 -> pieces -> step 2 -> ... -> words        no byte is lost or added
///                                                               (add_prefix_space aside)
///
/// Each step cuts every piece of the step before by a regular expression; what matches and what
/// lies between two matches become pieces of their own. The patterns run in PCRE2 with its JIT
/// compiler, as UTF-8 with Unicode properties; \s is White_Space, as in Hugging Face's library.
/// What is a letter or a digit follows the Unicode version of PCRE2 (14 in 10.42): newer characters
/// count as other symbols.

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loopbank {

/// GPT-2's pattern (Radford et al. 2019): contractions, runs of letters, of digits and of other
/// symbols, each with one space before it, and white space.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// One step, in the terms of tokenizer.json.
struct PreTokenizerStep {
  enum class Kind { kByteLevel, kDigits, kSplit };
  Kind kind = Kind::kByteLevel;
  bool add_prefix_space = false;  ///< kByteLevel: a piece that starts without a space gets one
  bool use_regex = true;          ///< kByteLevel: cut by kGpt2Pattern
  bool individual_digits = true;  ///< kDigits: each digit alone, else each run of digits
  std::string pattern = {};       ///< kSplit: matches and what lies between them
  bool pattern_is_text = false;   ///< kSplit: the pattern is plain text, not a regular expression
  bool operator==(const PreTokenizerStep&) const = default;
};

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
    void* data_;
  };

  /// @throws Error kData with the place and PCRE2's reason when it does not compile
  explicit Regex(const std::string& pattern);
  ~Regex();
  Regex(Regex&& other) noexcept;
  Regex& operator=(Regex&& other) noexcept;
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  /// First match of at least one byte that starts at or after `from`: [begin, end), or
  /// {size, size} where there is none.
  /// @param text  well-formed UTF-8
  /// @throws Error kData when the pattern backtracks beyond PCRE2's limits or moves its own start
  std::pair<size_t, size_t> find(std::string_view text, size_t from, Matcher& matcher) const;

 private:
  void* code_ = nullptr;
  bool compiled_ = false;  // by the JIT
};

class PreTokenizer {
 public:
  /// @throws Error kData when a pattern does not compile
  explicit PreTokenizer(std::vector<PreTokenizerStep> steps);

  [[nodiscard]] const std::vector<PreTokenizerStep>& steps() const { return steps_; }
  /// Whether splitting can add bytes to a text.
  [[nodiscard]] bool adds_spaces() const;

  /// Calls `emit(word)` for every word in order; a word is valid only during the call. Invalid
  /// UTF-8 is cut around each invalid byte, which becomes a word of its own.
  template <typename Emit>
  void split(std::string_view text, Regex::Matcher& matcher, Emit&& emit) const {
    while (!text.empty()) {
      const size_t valid = valid_prefix(text);
      if (valid > 0) {
        split_piece(0, text.substr(0, valid), matcher, emit);
      }
      if (valid < text.size()) {
        emit(text.substr(valid, 1));
      }
      text.remove_prefix(std::min(valid + 1, text.size()));
    }
  }

 private:
  /// A compiled step: what to put before a piece, and what to cut it by.
  struct Cut {
    bool add_prefix_space = false;
    std::optional<Regex> regex;
  };
  static size_t valid_prefix(std::string_view text);

  template <typename Emit>
  void split_piece(size_t step, std::string_view piece, Regex::Matcher& matcher, Emit& emit) const {
    if (step == cuts_.size()) {
      emit(piece);
      return;
    }
    const auto& cut = cuts_[step];
    if (cut.add_prefix_space && !piece.starts_with(' ')) {
      const std::string longer = ' ' + std::string(piece);
      cut_piece(step, longer, matcher, emit);
    } else {
      cut_piece(step, piece, matcher, emit);
    }
  }

  template <typename Emit>
  void cut_piece(size_t step, std::string_view piece, Regex::Matcher& matcher, Emit& emit) const {
    const auto& cut = cuts_[step];
    if (!cut.regex) {
      split_piece(step + 1, piece, matcher, emit);
      return;
    }
    size_t from = 0;
    while (from < piece.size()) {
      const auto [begin, end] = cut.regex->find(piece, from, matcher);
      if (begin > from) {
        split_piece(step + 1, piece.substr(from, begin - from), matcher, emit);
      }
      if (end > begin) {
        split_piece(step + 1, piece.substr(begin, end - begin), matcher, emit);
      }
      from = end;
    }
  }

  std::vector<PreTokenizerStep> steps_;
  std::vector<Cut> cuts_;
};

}  // namespace loopbank
