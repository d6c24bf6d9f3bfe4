#pragma once
/// The `pre_tokenizer` of a tokenizer.json: ByteLevel, Digits, Split, Punctuation, Metaspace,
/// Whitespace, WhitespaceSplit, CharDelimiterSplit, BertPreTokenizer, FixedLength, and Sequence of
/// these and of Sequence. UnicodeScripts and what may come are refused by name.

#include <nlohmann/json.hpp>
#include <vector>

#include "loopbank/tokenize/json_part.h"
#include "loopbank/tokenize/pretokenizer.h"

namespace loopbank {

/// The steps in their order.
/// @param part  the value of `pre_tokenizer`; null is no step
/// @throws Error kData naming the file and the part that is broken or not supported
[[nodiscard]] std::vector<PreTokenizerStep> read_pre_tokenizer(const JsonPart& part);

/// What gives the same steps when read: null, a step, or a Sequence of them.
[[nodiscard]] nlohmann::ordered_json write_pre_tokenizer(
    const std::vector<PreTokenizerStep>& steps);

}  // namespace loopbank
