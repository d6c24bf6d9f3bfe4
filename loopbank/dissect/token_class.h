#pragma once
/// What kind of word each token of a text belongs to: digits, names, function words, punctuation.
///
/// A token's class comes from the text around it, not from the token alone: every piece of a word
/// that BPE split has the class of the whole word. The rules are rules of thumb for English, simple
/// enough to be stated in full below. Rejected: a tagger, which would bring a model of its own into
/// the figures.

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

enum class TokenClass {
  kDigits,         ///< a run of digits, with . or , between two of them
  kNames,          ///< a capitalised word that neither begins a sentence nor is a function word
  kFunctionWords,  ///< articles, pronouns, prepositions, auxiliaries, ...: a list, contractions too
  kPunctuation,    ///< every character that is not a letter, digit or white space
  kOtherWords,     ///< every other run of letters, apostrophes between two of them included
  kOther,          ///< white space alone, the end-of-text token, bytes that are not UTF-8
};
inline constexpr int64_t kNumTokenClasses = 6;

/// `digits`, `names`, `function words`, `punctuation`, `other words`, `other`.
[[nodiscard]] std::string_view token_class_name(TokenClass token_class);

/// The class of every token of a row.
///
/// A sentence begins at the start of the row, after an end-of-text token, and after . ! ? : or a
/// line end, ignoring other punctuation and white space in between. A token with parts of several
/// words has the class of the one with the most bytes in it, and kPunctuation only if it has no
/// part of a word or number.
///
/// @param ids  one text; the row may begin and end within a word or a character
/// @throws Error kData for an id that the tokenizer does not know
[[nodiscard]] std::vector<TokenClass> classify_tokens(const Tokenizer& tokenizer,
                                                      std::span<const TokenId> ids);

}  // namespace loopbank
