#pragma once
/// Ids of one word: what it starts from, and BPE's merges.
///
/// A word of bytes starts from the tokens of its bytes. A word of text starts from those of its
/// characters, and a character without a token from those of its bytes, the unknown token or
/// nothing, as the file asks for. Words are remembered (word_cache.h).

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "loopbank/tokenize/bpe.h"
#include "loopbank/tokenize/tokenizer_definition.h"
#include "loopbank/tokenize/word_cache.h"

namespace loopbank {

class WordEncoder {
 public:
  /// @param definition  must outlive this
  explicit WordEncoder(const TokenizerDefinition& definition);

  /// What one thread needs for itself.
  struct Scratch {
    WordCache cache;
    std::vector<TokenId> symbols;
  };

  /// Appends the ids of a word, which may be empty. Safe to call from several threads.
  /// @param word  bytes or well-formed UTF-8, as definition.byte_level says
  /// @throws Error kData where a character without a token needs an unknown token that the
  ///   vocabulary lacks, and for a word of 4 GiB or more
  void append(std::string_view word, Scratch& scratch, std::vector<TokenId>& ids) const {
    const bool cached = !word.empty() && word.size() <= WordCache::kMaxWordBytes;
    if (!cached || !scratch.cache.append(word, ids)) {
      append_new(word, scratch, ids);
    }
  }

  /// The token of each byte; -1 where none has it. Of byte-level definitions.
  [[nodiscard]] const std::array<TokenId, 256>& byte_ids() const { return byte_ids_; }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using TokensByText = std::unordered_map<std::string, TokenId, Hash, std::equal_to<>>;
  void list_tokens();
  void append_new(std::string_view word, Scratch& scratch, std::vector<TokenId>& ids) const;
  void append_characters(std::string_view word, std::vector<TokenId>& symbols) const;
  bool append_fallback(std::string_view symbol, std::vector<TokenId>& symbols) const;
  [[nodiscard]] TokenId unknown_id() const;

  const TokenizerDefinition& definition_;
  BpeMerger merger_;
  std::array<TokenId, 256> byte_ids_{};
  std::array<TokenId, 256> fallback_ids_{};  // of <0x00> to <0xFF>
  TokensByText tokens_;                      // of model.vocab, where words are text
  TokensByText whole_words_;                 // where merges are ignored for them
};

/// The token of each byte of a byte-level vocabulary; -1 where none has it.
[[nodiscard]] std::array<TokenId, 256> find_byte_ids(const TokenizerDefinition& definition);

/// Whether every byte that occurs in UTF-8 has a token.
[[nodiscard]] bool cover_utf8(const std::array<TokenId, 256>& byte_ids);

}  // namespace loopbank
