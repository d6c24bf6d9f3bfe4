#pragma once
/// The leading tokens of a text file, as a model reads them.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "loopbank/data/text_reader.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

struct TextIds {
  std::vector<TokenId> ids;
  TextReaderReport reading;  ///< documents and bad lines up to the end of the ids
};

/// Encodes documents, each followed by the end-of-text token if the tokenizer has one, until there
/// are `max_ids` ids or the file ends.
/// @param path  a text that TextReader reads
/// @throws Error kData when the file cannot be read
[[nodiscard]] TextIds read_text_ids(const std::filesystem::path& path, const Tokenizer& tokenizer,
                                    int64_t max_ids, const BadLinePolicy& policy = {});

}  // namespace loopbank
