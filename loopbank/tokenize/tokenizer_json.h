#pragma once
/// tokenizer.json of Hugging Face, as far as it describes BPE.
///
/// Read: model BPE, added_tokens and every other section (tokenizer_parts_json.h,
/// pretokenizer_json.h). What would change ids and is not supported is refused by name; truncation
/// and padding are the caller's affair and are passed over.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/tokenize/tokenizer_definition.h"

namespace loopbank {

/// Reads the text of a tokenizer.json. Merges name tokens that exist, and added tokens that
/// model.vocab lacks count on from its size, as `tokenizers` numbers them whatever the file says.
/// @param where  the file, for errors
/// @throws Error kData as `where: part: expected WHAT, got WHAT`
[[nodiscard]] TokenizerDefinition parse_tokenizer_json(std::string_view text,
                                                       const std::string& where);

/// The text that the definition was read from, or for one that was made here the text of a
/// tokenizer.json that gives the same definition when parsed.
/// @throws Error kData for a definition with parts that are only read
[[nodiscard]] std::string write_tokenizer_json(const TokenizerDefinition& definition);

/// [vocab_size] how the file spells each token; empty for ids that no token has.
[[nodiscard]] std::vector<std::string> spell_tokens(const TokenizerDefinition& definition);

}  // namespace loopbank
