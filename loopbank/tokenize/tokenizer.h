#pragma once
/// Text to token ids and back: BPE over bytes as GPT-2 uses it, BPE over characters as Llama 2 does,
/// and plain bytes.
///
/// Reads and writes Hugging Face `tokenizer.json` and the files beside it. Ids are those of Hugging
/// Face `tokenizers` 0.22.2, or the file is refused by the name of what is not supported, such as
/// other models of that file format (WordPiece, Unigram). docs/tokenizers.md lists both.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace loopbank {

using TokenId = int32_t;
struct TokenizerConfig;
struct TokenizerDefinition;

/// Ids of the tokens that tokenizer_config.json or special_tokens_map.json name and the vocabulary
/// holds.
struct SpecialIds {
  std::optional<TokenId> bos = {};
  std::optional<TokenId> eos = {};
  std::optional<TokenId> pad = {};
  std::optional<TokenId> unk = {};
};

class Tokenizer {
 public:
  /// Reads a tokenizer.json, or the one in a folder, with tokenizer_config.json and
  /// special_tokens_map.json where they stand beside it.
  /// @throws Error kData naming the file and the part that is broken or not supported
  static Tokenizer load(const std::filesystem::path& path);

  /// The smallest tokenizer: ids 0 to 255 are the bytes, 256 is <|endoftext|>.
  static Tokenizer bytes();

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Ids of a text, nothing put around it. Special tokens spelled out in the text are ordinary text
  /// unless `parse_special`. Any bytes are accepted: in a byte-level vocabulary what is not UTF-8 is
  /// encoded byte by byte, elsewhere as U+FFFD. Where the file neither normalizes nor adds spaces nor
  /// throws away, decoding gives the text back. Safe to call from several threads.
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text,
                                            bool parse_special = false) const;

  /// Ids of a text that stands behind a special token of the same text: Metaspace "first" puts nothing
  /// before it.
  [[nodiscard]] std::vector<TokenId> encode_behind(std::string_view text) const;

  /// Ids of a text that a model goes on from: text_prefix() and what `encode` gives.
  [[nodiscard]] std::vector<TokenId> encode_prompt(std::string_view text,
                                                   bool parse_special = false) const;

  /// Ids of a whole text as the file frames it (add_special_tokens of Hugging Face's libraries):
  /// text_prefix(), what `encode` gives, and text_suffix().
  [[nodiscard]] std::vector<TokenId> encode_framed(std::string_view text,
                                                   bool parse_special = false) const;

  /// What stands before a text, such as the token that begins it (BOS), and behind it. Empty in
  /// tokenizers made here. The post-processor says what, and add_bos_token and add_eos_token of
  /// tokenizer_config.json overrule it.
  [[nodiscard]] const std::vector<TokenId>& text_prefix() const;
  [[nodiscard]] const std::vector<TokenId>& text_suffix() const;

  [[nodiscard]] SpecialIds special_ids() const;
  [[nodiscard]] const TokenizerConfig& config() const;

  /// A special token that is spelled out in a text: its bytes from `begin` up to `end`.
  struct SpelledToken {
    size_t begin = 0;
    size_t end = 0;
    TokenId id = 0;
  };
  /// Those that `encode` takes for special tokens with `parse_special`, in their order.
  [[nodiscard]] std::vector<SpelledToken> special_tokens(std::string_view text) const;

  /// The text that the ids stand for, special tokens spelled out. Ids that no token has are passed
  /// over. The bytes of a byte-level vocabulary are given as they are, also where they are no UTF-8.
  /// @throws Error kData for an id outside [0, vocab_size)
  [[nodiscard]] std::string decode(std::span<const TokenId> ids) const;

  /// What one token adds to a text behind others, valid as long as the tokenizer.
  /// @throws Error kData for an id outside [0, vocab_size)
  [[nodiscard]] std::string_view token_bytes(TokenId id) const;

  /// What it adds where it is a text's first token: often without the space that begins a word.
  /// @throws Error kData for an id outside [0, vocab_size)
  [[nodiscard]] std::string_view first_token_bytes(TokenId id) const;

  /// What it adds to the text of the ids before it: as a first token where they are all special.
  [[nodiscard]] std::string_view token_bytes_behind(std::span<const TokenId> before,
                                                    TokenId id) const;

  /// Whether it is an added token that the file calls special.
  /// @throws Error kData for an id outside [0, vocab_size)
  [[nodiscard]] bool is_special(TokenId id) const;

  /// Largest id + 1. A model's vocab_size may be larger (padding), never smaller.
  [[nodiscard]] int64_t vocab_size() const;

  /// The token between documents: the eos_token of tokenizer_config.json or special_tokens_map.json,
  /// otherwise the added token <|endoftext|>, </s>, <eos>, <|end_of_text|> or <|im_end|>.
  /// @throws Error kData when there is none of them
  [[nodiscard]] TokenId end_of_text() const;

  /// 16 hex digits over everything that decides ids: the vocabulary, merges, normalizer,
  /// pre-tokenizer, and what stands around a text. Stored in every token file.
  [[nodiscard]] const std::string& hash() const;

  /// Writes tokenizer.json atomically, and beside it tokenizer_config.json and
  /// special_tokens_map.json where it was loaded with them. A tokenizer that was loaded is written
  /// as it was read, byte for byte.
  void save(const std::filesystem::path& path) const;

  /// From its parts (tokenize/tokenizer_definition.h), such as training makes them.
  /// @throws Error kData when a pattern does not compile or parts do not go together
  explicit Tokenizer(TokenizerDefinition definition);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace loopbank
