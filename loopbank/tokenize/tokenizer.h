#pragma once
/// Text to token ids and back: byte-level BPE as GPT-2 uses it, and plain bytes.
///
/// Reads and writes Hugging Face `tokenizer.json`. Not here: other models of that file format
/// (WordPiece, Unigram) and normalizers; a file that uses them is refused by name.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace loopbank {

using TokenId = int32_t;
struct TokenizerDefinition;

class Tokenizer {
 public:
  /// Reads a tokenizer.json, or the one in a folder.
  /// @throws Error kData naming the file and the part that is broken or not supported
  static Tokenizer load(const std::filesystem::path& path);

  /// The smallest tokenizer: ids 0 to 255 are the bytes, 256 is <|endoftext|>.
  static Tokenizer bytes();

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Ids of a text. Special tokens spelled out in the text are ordinary text unless
  /// `parse_special`. Any bytes are accepted: what is not UTF-8 is encoded byte by byte. Decoding
  /// gives the text back (after a space, if the file asks for add_prefix_space). Safe to call from
  /// several threads.
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text,
                                            bool parse_special = false) const;

  /// A special token that is spelled out in a text: its bytes from `begin` up to `end`.
  struct SpelledToken {
    size_t begin = 0;
    size_t end = 0;
    TokenId id = 0;
  };
  /// Those that `encode` takes for special tokens with `parse_special`, in their order.
  [[nodiscard]] std::vector<SpelledToken> special_tokens(std::string_view text) const;

  /// The bytes that the ids stand for, special tokens spelled out.
  /// @throws Error kData for an id outside [0, vocab_size)
  [[nodiscard]] std::string decode(std::span<const TokenId> ids) const;

  /// The bytes of one token, valid as long as the tokenizer.
  /// @throws Error kData for an id outside [0, vocab_size)
  [[nodiscard]] std::string_view token_bytes(TokenId id) const;

  /// Largest id + 1. A model's vocab_size may be larger (padding), never smaller.
  [[nodiscard]] int64_t vocab_size() const;

  /// The token between documents: <|endoftext|>, otherwise </s>, <eos> or <|end_of_text|>.
  /// @throws Error kData when no added token has one of these names
  [[nodiscard]] TokenId end_of_text() const;

  /// 16 hex digits over the vocabulary, merges and pre-tokenizer: equal for tokenizers that give
  /// equal ids; stored in every token file.
  [[nodiscard]] const std::string& hash() const;

  /// Writes tokenizer.json atomically.
  void save(const std::filesystem::path& path) const;

  /// From its parts (tokenize/tokenizer_definition.h), such as training makes them.
  /// @throws Error kData when a byte has no token or a pattern does not compile
  explicit Tokenizer(TokenizerDefinition definition);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace loopbank
