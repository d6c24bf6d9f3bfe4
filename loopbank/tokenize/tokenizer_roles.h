#pragma once
/// What tokens of a definition are for: those around a text, the one at its end; and the hash of
/// everything that decides ids.

#include <string>
#include <vector>

#include "loopbank/tokenize/tokenizer_definition.h"

namespace loopbank {

/// Around a text stands what the post-processor puts there. Where tokenizer_config.json says
/// add_bos_token or add_eos_token, true adds the bos or eos token where it is missing, and false
/// takes it away.
struct TokenizerRoles {
  /// @throws Error kData where a token is to be added that the files do not name or do not hold,
  ///   and for ids outside the vocabulary
  explicit TokenizerRoles(const TokenizerDefinition& definition);

  SpecialIds ids;
  std::vector<TokenId> prefix;
  std::vector<TokenId> suffix;
};

/// The eos token of tokenizer_config.json, otherwise the added token of a usual name.
/// @throws Error kData when there is neither, or the eos token is none of the tokens
[[nodiscard]] TokenId end_of_text_of(const TokenizerDefinition& definition,
                                     const TokenizerRoles& roles);

/// XXH3 over everything that decides ids, as 16 hex digits. Token files carry it: what a file says
/// that had no meaning in earlier versions is left out where it is the usual.
[[nodiscard]] std::string vocabulary_hash(const TokenizerDefinition& definition,
                                          const TokenizerRoles& roles);

}  // namespace loopbank
