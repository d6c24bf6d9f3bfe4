#pragma once
/// Rows of tokens from the beginning of a text file, as a model reads them in validation.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "loopbank/data/sampler.h"
#include "loopbank/data/text_reader.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

struct TextRows {
  Batch rows;                ///< tokens and targets [B, T]
  TextReaderReport reading;  ///< documents and bad lines up to the end of the rows
};

/// Encodes documents, each followed by the end-of-text token if the tokenizer has one, until the
/// rows are full: row i starts at token i T, and its targets end with the first token of the next.
/// What is left after the last whole row is dropped, but a text shorter than one row makes a row.
///
/// @param path  a text that TextReader reads
/// @param num_rows, sequence_length  B and T, at most; both at least 1
/// @throws Error kData when the file cannot be read or holds fewer than two tokens
[[nodiscard]] TextRows read_text_rows(const std::filesystem::path& path, const Tokenizer& tokenizer,
                                      int64_t num_rows, int64_t sequence_length,
                                      const BadLinePolicy& policy = {});

/// Row `row` and the target of its last token, T + 1 tokens.
[[nodiscard]] std::vector<TokenId> text_of_row(const Batch& rows, int64_t row);

/// What the targets of the rows stand for, at least 1.
[[nodiscard]] int64_t bytes_of_targets(const Batch& rows, const Tokenizer& tokenizer);

}  // namespace loopbank
