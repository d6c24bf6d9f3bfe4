#pragma once
/// Changes a text before it is cut: the normalizers of tokenizer.json, by name.
///
///     text -> step 1 -> text -> step 2 -> ... -> normalized text
///
/// Not here: BertNormalizer and Precompiled, which a file is refused for.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/tokenize/regex.h"

namespace loopbank {

/// One step, in the terms of tokenizer.json.
struct NormalizerStep {
  enum class Kind {
    kNfc,
    kNfd,
    kNfkc,
    kNfkd,
    kLowercase,     ///< each character by itself: no final sigma
    kStripAccents,  ///< marks are dropped
    kStrip,         ///< white space at the ends is dropped
    kReplace,       ///< matches of `pattern` become `content`
    kPrepend,       ///< `content` before a text that is not empty
    kByteLevel,     ///< bytes become the characters of the byte alphabet
    kNmt            ///< some control characters are dropped, others become spaces
  };
  Kind kind = Kind::kNfc;
  bool left = true;              ///< kStrip: at the start
  bool right = true;             ///< kStrip: at the end
  std::string pattern = {};      ///< kReplace
  bool pattern_is_text = false;  ///< kReplace: plain text, not a regular expression
  std::string content = {};      ///< kReplace, kPrepend
  bool operator==(const NormalizerStep&) const = default;
};

/// Replaces what matches: the Replace of normalizers and of decoders.
class Replacement {
 public:
  /// @throws Error kData when the pattern does not compile
  Replacement(const std::string& pattern, bool pattern_is_text, std::string content);

  /// @param text  well-formed UTF-8
  /// @param starts_same  of a normalizer: set to false where the first character is replaced by what
  ///   has another place, or goes
  /// @throws Error kData where a normalizer's pattern matches nothing at the start of the text
  [[nodiscard]] std::string apply(std::string_view text, Regex::Matcher& matcher,
                                  bool* starts_same = nullptr) const;

 private:
  std::optional<Regex> regex_;
  std::string text_;  // what is looked for where there is no regex
  std::string content_;
};

class Normalizer {
 public:
  Normalizer() = default;
  /// @throws Error kData when a pattern does not compile
  explicit Normalizer(std::vector<NormalizerStep> steps);

  /// Whether no text is changed.
  [[nodiscard]] bool empty() const { return steps_.empty(); }

  struct Result {
    std::string text;
    /// Whether the text starts with what its original starts with: no character went before it.
    bool starts_same = true;
  };
  /// @param text  well-formed UTF-8
  /// @throws Error kData as Replacement, and where a pattern backtracks beyond its limits
  [[nodiscard]] Result apply(std::string_view text, Regex::Matcher& matcher) const;

  /// Whether `starts_same` is sure: no step drops or replaces where several characters may have come
  /// of the first one.
  [[nodiscard]] bool tells_start() const;

  /// Whether the text stays as it is; false where that takes more than a look at it.
  [[nodiscard]] bool keeps(std::string_view text) const;

 private:
  void apply_step(size_t index, Result& result, Regex::Matcher& matcher) const;

  std::vector<NormalizerStep> steps_;
  std::vector<std::optional<Replacement>> replacements_;  // of each step
  bool keeps_ascii_ = true;
};

}  // namespace loopbank
