#pragma once
/// A text as a model reads it: the tokens of its documents, each followed by end of text, in rows
/// that are scored one after another.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "loopbank/data/text_reader.h"
#include "loopbank/model/language_model.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

struct TextRow {
  int64_t first = 0;        ///< index of its first token in the text
  at::Tensor tokens = {};   ///< [1, T] int64
  at::Tensor targets = {};  ///< [1, T] int64, the token after each
};

struct ScoredText {
  std::vector<TokenId> ids = {};   ///< of the whole text; the last one is only a target
  std::vector<TextRow> rows = {};  ///< of one length, except the last
  int64_t num_bytes = 0;           ///< of the targets in UTF-8; end of text counts none
  int64_t num_skipped = 0;         ///< lines that were not documents

  /// Tokens read, which is also the number predicted.
  [[nodiscard]] int64_t num_tokens() const { return static_cast<int64_t>(ids.size()) - 1; }
};

/// @param row_tokens  T of a row, at least 1
/// @throws Error kData for fewer than two ids: nothing to predict
[[nodiscard]] ScoredText scored_text_of(std::vector<TokenId> ids, const Tokenizer& tokenizer,
                                        int64_t row_tokens);

/// The first `max_tokens` tokens of a text file (data/text_reader.h says which).
/// @throws Error kData for a file that cannot be read or holds fewer than two tokens
[[nodiscard]] ScoredText read_scored_text(const std::filesystem::path& path,
                                          const Tokenizer& tokenizer, int64_t max_tokens,
                                          int64_t row_tokens, const BadLinePolicy& policy = {});

/// -ln p of a row's targets, summed, nats.
[[nodiscard]] double nats_of(const LanguageModel& model, const TextRow& row,
                             const ForwardOptions& options);

/// Bits per byte of the whole text, from the nats of its rows.
[[nodiscard]] double bits_per_byte(const std::vector<double>& row_nats, const ScoredText& text);

}  // namespace loopbank
