#pragma once
/// From ids back to text: the decoders of tokenizer.json, by name.
///
/// Each token has a text of its own, which may be another one where it is the first: without the
/// blank that stands for the start of a word. So a text can be written token by token.
///
///     text of ids = first(id 1) + middle(id 2) + middle(id 3) + ...
///
/// Two rare things show in a whole text alone: a Strip that takes more than the first token has, and
/// one that takes from the end.
///
/// Not here: WordPiece and CTC, which look at their neighbours; a file is refused for them.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// One step, in the terms of tokenizer.json.
struct DecoderStep {
  enum class Kind {
    kByteLevel,     ///< characters of the byte alphabet become bytes, and all tokens one text
    kReplace,       ///< matches of `pattern` become `content`
    kByteFallback,  ///< <0xNN> becomes a byte
    kFuse,          ///< all tokens become one text
    kStrip,         ///< `character` goes from the ends, `start` and `stop` times at most
    kMetaspace      ///< `character` becomes a space; it goes in the first token if `prepended`
  };
  Kind kind = Kind::kByteLevel;
  std::string pattern = {};
  bool pattern_is_text = false;
  std::string content = {};
  std::string character = {};
  size_t start = 0;
  size_t stop = 0;
  bool prepended = true;
  bool operator==(const DecoderStep&) const = default;
};

/// Whether the steps do no more than ByteLevel, which is nothing to tokens that are bytes.
[[nodiscard]] bool only_byte_level(const std::vector<DecoderStep>& steps);

/// The texts of all tokens.
class TokenTexts {
 public:
  TokenTexts() = default;
  /// @param spellings  [vocab_size] tokens as the file spells them; taken over where it can be
  /// @param verbatim   [vocab_size] whether ByteLevel leaves the token as it is
  /// @param steps      none: tokens are joined by spaces
  /// @throws Error kData when a pattern does not compile
  TokenTexts(std::vector<std::string> spellings, const std::vector<bool>& verbatim,
             const std::vector<DecoderStep>& steps);

  /// What the token adds behind others.
  [[nodiscard]] std::string_view middle(size_t id) const { return middle_[id]; }
  /// What the token adds where it is the first one.
  [[nodiscard]] std::string_view first(size_t id) const;
  /// The text of ids, all of them within the vocabulary.
  [[nodiscard]] std::string join(std::span<const TokenId> ids) const;

 private:
  [[nodiscard]] std::string_view lead(size_t id) const;

  std::vector<std::string> middle_;
  std::unordered_map<size_t, std::string> leads_;  // of first tokens, where they differ
  std::vector<DecoderStep> strips_;                // of the whole text
};

}  // namespace loopbank
