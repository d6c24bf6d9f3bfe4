#pragma once
/// Cuts text into the words that BPE merges within: the steps of a tokenizer.json's pre_tokenizer.
///
///     text -> step 1 -> pieces -> step 2 -> ... -> words
///
/// Each step cuts every piece of the step before; empty pieces are dropped. Most steps keep every
/// byte, but Split and Punctuation may throw pieces away, the white-space steps do, and Metaspace
/// and ByteLevel may add to a piece and change it. What a step does is what it does in Hugging
/// Face's `tokenizers` 0.22.2.
///
/// With a ByteLevel step the words are bytes of the text, whatever characters they cut through, for
/// a vocabulary of bytes; without one they are text. No step at all: the text is one word.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loopbank/tokenize/characters.h"
#include "loopbank/tokenize/code_points.h"
#include "loopbank/tokenize/piece_joiner.h"
#include "loopbank/tokenize/regex.h"

namespace loopbank {

/// GPT-2's pattern (Radford et al. 2019): contractions, runs of letters, of digits and of other
/// symbols, each with one space before it, and white space.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// Where Metaspace puts its sign before a piece that does not start with it.
enum class PrependScheme { kFirst, kNever, kAlways };

/// One step, in the terms of tokenizer.json.
struct PreTokenizerStep {
  enum class Kind {
    kByteLevel,
    kDigits,
    kSplit,
    kPunctuation,
    kMetaspace,
    kWhitespace,
    kWhitespaceSplit,
    kCharDelimiterSplit,
    kBertPreTokenizer,
    kFixedLength
  };
  Kind kind = Kind::kByteLevel;
  bool add_prefix_space = false;  ///< kByteLevel: a piece that starts without a space gets one
  bool use_regex = true;          ///< kByteLevel: cut by kGpt2Pattern
  bool individual_digits = true;  ///< kDigits: each digit alone, else each run of digits
  std::string pattern = {};       ///< kSplit: what to cut by; may be empty, which cuts everywhere
  bool pattern_is_text = false;   ///< kSplit: the pattern is plain text, not a regular expression
  SplitBehavior behavior = SplitBehavior::kIsolated;  ///< kSplit, kPunctuation
  bool invert = false;                                ///< kSplit: what lies between is the match
  std::string sign = "\xE2\x96\x81";  ///< one character: kMetaspace's for a space (U+2581),
                                      ///< kCharDelimiterSplit's delimiter
  PrependScheme prepend_scheme = PrependScheme::kAlways;  ///< kMetaspace
  bool split = true;                                      ///< kMetaspace: cut before each sign
  int64_t length = 5;        ///< kFixedLength: characters a piece, at least 1
  bool trim_offsets = true;  ///< kByteLevel: kept for the file, decides nothing here
  bool operator==(const PreTokenizerStep&) const = default;
};

/// Everything of a step that decides words, as a line of text; for hashes. Stays what it is.
[[nodiscard]] std::string canonical_text(const PreTokenizerStep& step);

class PreTokenizer {
 public:
  /// @throws Error kData when a pattern does not compile, or for steps that do not go together: two
  ///   ByteLevel, Metaspace behind ByteLevel, Metaspace that looks for the first piece behind
  ///   another Metaspace
  explicit PreTokenizer(std::vector<PreTokenizerStep> steps);

  [[nodiscard]] const std::vector<PreTokenizerStep>& steps() const { return steps_; }
  /// Whether the words are bytes for a byte-level vocabulary: there is a ByteLevel step.
  [[nodiscard]] bool is_byte_level() const { return is_byte_level_; }
  /// Whether the words, one after the other, are the text again.
  [[nodiscard]] bool keeps_text() const;
  /// For texts that a normalizer has changed. Metaspace "first" asks which piece begins with the
  /// first character of the text before it was normalized, which is not known here where there are
  /// several pieces: behind a step that cuts, and behind an added token.
  /// @param tokens_in_normalized  whether added tokens are found in normalized text, or the normalizer
  ///   may have lost the first character unseen (Normalizer::tells_start)
  /// @throws Error kData where this would decide words
  void expect_certain_start(bool tokens_in_normalized) const;

  /// Calls `emit(word)` for every word in order; a word is valid only during the call. Invalid
  /// UTF-8 is cut around each invalid byte, which becomes a word of its own.
  /// @param at_start  whether `text` is the beginning of the whole text (before normalization),
  ///   not what follows an added token
  template <typename Emit>
  void split(std::string_view text, bool at_start, Regex::Matcher& matcher, Emit&& emit) const {
    const auto split_run = [&](std::string_view run, size_t begin) {
      if (!run.empty()) {
        split_piece(0, run, at_start && begin == 0, matcher, emit);
      }
    };
    for_each_utf8_run(text, split_run, [&](std::string_view byte) { emit(byte); });
  }

 private:
  /// What a step comes down to.
  struct Cut {
    enum class By { kNothing, kRegex, kText, kCharacters, kWordRuns, kLength };
    std::string prefix = {};  // put before a piece that does not start with it
    bool only_first = false;  // only before the piece that the text starts with
    std::string space = {};   // replaces each space, unless empty; before the prefix
    By by = By::kNothing;
    std::optional<Regex> regex = {};
    std::string text = {};
    CodePointSet characters = {};
    size_t length = 0;
    SplitBehavior behavior = SplitBehavior::kIsolated;
    bool invert = false;
    bool spell_bytes = false;  // the pieces in the byte-level alphabet, for the steps behind
  };
  void add_cuts_of(const PreTokenizerStep& step);
  /// The piece as the step changes it before it cuts.
  static std::string changed(const Cut& cut, std::string_view piece, bool at_start);
  static std::string spelled(std::string_view piece);
  /// The bytes of a word that is spelled in the byte-level alphabet.
  static std::string unspelled(std::string_view word);

  template <typename Emit>
  void split_piece(size_t step, std::string_view piece, bool at_start, Regex::Matcher& matcher,
                   Emit& emit) const {
    if (step == cuts_.size()) {
      if (words_are_spelled_) {
        emit(std::string_view(unspelled(piece)));
      } else {
        emit(piece);
      }
      return;
    }
    const auto& cut = cuts_[step];
    const bool add_prefix =
        !cut.prefix.empty() && (at_start || !cut.only_first) && !piece.starts_with(cut.prefix);
    if (!cut.space.empty() || add_prefix) {
      const auto longer = changed(cut, piece, at_start);
      cut_piece(step, longer, at_start, matcher, emit);
    } else {
      cut_piece(step, piece, at_start, matcher, emit);
    }
  }

  template <typename Emit>
  void cut_piece(size_t step, std::string_view piece, bool at_start, Regex::Matcher& matcher,
                 Emit& emit) const {
    const auto& cut = cuts_[step];
    const auto hand_on = [&](size_t begin, size_t end) {
      const auto part = piece.substr(begin, end - begin);
      if (cut.spell_bytes) {
        split_piece(step + 1, spelled(part), at_start && begin == 0, matcher, emit);
      } else {
        split_piece(step + 1, part, at_start && begin == 0, matcher, emit);
      }
    };
    PieceJoiner joiner(cut.behavior, cut.invert, hand_on);
    const auto visit = [&](size_t begin, size_t end) { joiner.add_match(begin, end); };
    switch (cut.by) {
      case Cut::By::kNothing:
        break;
      case Cut::By::kRegex:
        cut.regex->for_each_match(piece, matcher, visit);
        break;
      case Cut::By::kText:
        visit_text(piece, cut.text, visit);
        break;
      case Cut::By::kCharacters:
        visit_characters(piece, cut.characters, visit);
        break;
      case Cut::By::kWordRuns:
        visit_word_runs(piece, visit);
        break;
      case Cut::By::kLength:
        visit_lengths(piece, cut.length, visit);
        break;
    }
    joiner.finish(piece.size());
  }

  template <typename Visit>
  static void visit_text(std::string_view piece, std::string_view text, Visit& visit) {
    for (size_t at = piece.find(text); at != std::string_view::npos;
         at = piece.find(text, at + text.size())) {
      visit(at, at + text.size());
    }
  }
  template <typename Visit>
  static void visit_characters(std::string_view piece, const CodePointSet& set, Visit& visit) {
    for (size_t at = 0; at < piece.size();) {
      const size_t begin = at;
      if (set.contains(next_code_point(piece, at))) {
        visit(begin, at);
      }
    }
  }
  /// Runs of word characters and runs of what is neither these nor white space.
  template <typename Visit>
  static void visit_word_runs(std::string_view piece, Visit& visit) {
    size_t begin = 0;
    int last_class = 0;  // 0: white space
    for (size_t at = 0; at < piece.size();) {
      const size_t here = at;
      const auto character = next_code_point(piece, at);
      const int character_class = word_characters_of_step().contains(character) ? 1
                                  : white_space().contains(character)           ? 0
                                                                                : 2;
      if (character_class != last_class) {
        if (last_class != 0) {
          visit(begin, here);
        }
        begin = here;
        last_class = character_class;
      }
    }
    if (last_class != 0) {
      visit(begin, piece.size());
    }
  }
  template <typename Visit>
  static void visit_lengths(std::string_view piece, size_t length, Visit& visit) {
    size_t begin = 0;
    size_t characters = 0;
    for (size_t at = 0; at < piece.size();) {
      (void)next_code_point(piece, at);
      if (++characters == length || at == piece.size()) {
        visit(begin, at);
        begin = at;
        characters = 0;
      }
    }
  }

  std::vector<PreTokenizerStep> steps_;
  std::vector<Cut> cuts_;
  bool is_byte_level_ = false;
  bool words_are_spelled_ = false;  // steps follow ByteLevel
};

}  // namespace loopbank
