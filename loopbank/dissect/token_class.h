#pragma once
/// What kind of word each token of a text belongs to: digits, names, function words, punctuation.
///
/// Tokens are classed by the text that they stand in and not by themselves: every piece of a word
/// that BPE cut has the class of the whole word. Rules of thumb for English, simple enough to be
/// stated in full below. Rejected: a tagger, which would bring a model of its own into the figures.

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
  kPunctuation,    ///< every sign that is no letter, digit or white space
  kOtherWords,     ///< every other run of letters, apostrophes between two of them included
  kOther,          ///< white space alone, the end-of-text token, bytes that are no UTF-8
};
inline constexpr int64_t kNumTokenClasses = 6;

/// `digits`, `names`, `function words`, `punctuation`, `other words`, `other`.
[[nodiscard]] std::string_view token_class_name(TokenClass token_class);

/// The class of every token of a row.
///
/// A sentence begins with the row, behind an end-of-text token, and behind . ! ? : or a line end,
/// other signs and white space between them aside. A token that holds parts of several words has
/// the class of the one it holds most bytes of, and that of a sign only where it holds no part of
/// a word or number.
///
/// @param ids  one text; the row may begin and end within a word or a character
/// @throws Error kData for an id that the tokenizer does not know
[[nodiscard]] std::vector<TokenClass> classify_tokens(const Tokenizer& tokenizer,
                                                      std::span<const TokenId> ids);

}  // namespace loopbank
