#pragma once
/// Learns byte-level BPE from text: the most frequent pair becomes a token, again and again.
///
/// Words are counted first, so that the text is read once and memory holds only distinct words.
/// Pair counts are then updated word by word instead of recounted for each merge.

#include <cstdint>
#include <functional>
#include <string>

#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

struct TokenizerTrainingOptions {
  int64_t vocab_size = 0;          ///< 256 bytes, merges and <|endoftext|>: at least 257
  bool individual_digits = false;  ///< each digit is a token of its own
  int64_t min_frequency = 2;       ///< less frequent pairs are not merged
  /// Called from time to time: with 0 while words are counted, then with the tokens made so far.
  std::function<void(int64_t num_tokens)> on_progress = {};
};

/// Learns a tokenizer from documents. Ids 0 to 255 are the bytes, merges follow in order, the last
/// id is <|endoftext|>; fewer than `vocab_size` ids if the text runs out of pairs. The same
/// documents give the same tokenizer in any order: of equally frequent pairs the one with the
/// lowest ids comes first. Words longer than kMaxTrainingWordBytes are counted in parts.
///
/// @param next_document  puts the next document into its argument, or returns false at the end
/// @throws Error kConfig for options out of range, kData without a document
[[nodiscard]] Tokenizer train_bpe(const std::function<bool(std::string&)>& next_document,
                                  const TokenizerTrainingOptions& options);

inline constexpr size_t kMaxTrainingWordBytes = 256;

}  // namespace loopbank
