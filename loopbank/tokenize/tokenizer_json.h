#pragma once
/// tokenizer.json of Hugging Face, as far as it describes byte-level BPE.
///
/// Read: model BPE (merges as "a b" or ["a", "b"]), added_tokens, pre_tokenizer ByteLevel alone or
/// last in a Sequence after Digits and Split. Everything else that would change ids is refused by
/// name; truncation and padding do not and are skipped.

#include <filesystem>
#include <string>
#include <string_view>

#include "loopbank/tokenize/tokenizer_definition.h"

namespace loopbank {

/// Reads the text of a tokenizer.json. Ids cover [0, vocab_size) without holes, each byte has a
/// token, and merges name tokens that exist.
/// @param where  the file, for errors
/// @throws Error kData as `where: part: expected WHAT, got WHAT`
[[nodiscard]] TokenizerDefinition parse_tokenizer_json(std::string_view text,
                                                       const std::string& where);

/// The text of a tokenizer.json that gives the same definition when parsed.
[[nodiscard]] std::string write_tokenizer_json(const TokenizerDefinition& definition);

}  // namespace loopbank
