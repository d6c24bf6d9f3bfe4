#pragma once
/// Everything a tokenizer is made of, as plain data: the contents of tokenizer.json.

#include <optional>
#include <string>
#include <vector>

#include "loopbank/tokenize/bpe.h"
#include "loopbank/tokenize/decoder.h"
#include "loopbank/tokenize/normalizer.h"
#include "loopbank/tokenize/pretokenizer.h"
#include "loopbank/tokenize/tokenizer.h"
#include "loopbank/tokenize/tokenizer_config.h"

namespace loopbank {

inline constexpr std::string_view kEndOfText = "<|endoftext|>";

/// A token that is found literally in the text, before the pre-tokenizer.
struct AddedToken {
  TokenId id = 0;
  bool special = true;        ///< found only where the caller asks for special tokens
  bool in_vocabulary = true;  ///< the file lists it in model.vocab as well
  bool single_word = false;   ///< only where no word character touches it
  bool lstrip = false;        ///< takes the white space before it
  bool rstrip = false;        ///< takes the white space behind it
  bool normalized = false;    ///< found in the normalized text, its own text normalized as well
  /// What is found in the text, where it is not what the token stands for: "\u00E9" of a byte-level
  /// vocabulary, whose token stands for the byte 0xE9 as well.
  std::string spelling = {};
};

/// What BPE does beyond merging.
struct BpeOptions {
  bool ignore_merges = false;  ///< a word that is itself a token is that token
  bool byte_fallback = false;  ///< a character without a token becomes <0xNN> of its bytes
  bool fuse_unknown = false;   ///< one unknown token for characters that follow each other
  std::optional<std::string> unknown = {};     ///< else such characters are dropped
  std::string continuing_subword_prefix = {};  ///< before each character but a word's first
  std::string end_of_word_suffix = {};         ///< behind a word's last character
  bool operator==(const BpeOptions&) const = default;
};

struct TokenizerDefinition {
  /// [vocab_size] what the words hold that each id stands for: bytes of the text if `byte_level`,
  /// else text. An added token is itself. Empty for ids that no token has.
  std::vector<std::string> tokens;
  std::vector<Merge> merges;  ///< in order of rank
  std::vector<AddedToken> added_tokens;
  std::vector<PreTokenizerStep> pre_tokenizer;
  BpeOptions bpe = {};
  /// Words are bytes of the text. The file spells them in the byte alphabet, by a ByteLevel that is
  /// the last step of its pre-tokenizer.
  bool byte_level = true;
  /// Tokens of a byte-level vocabulary that are not spelled in the byte alphabet: no word has them.
  std::vector<TokenId> unspelled = {};
  /// Tokens of model.vocab whose id an added token took, which `tokens` then holds: words still have
  /// them. Such a file numbers its added tokens otherwise than `tokenizers` does.
  struct Shadowed {
    TokenId id = 0;
    std::string text;
  };
  std::vector<Shadowed> shadowed = {};
  std::vector<NormalizerStep> normalizer = {};
  std::vector<DecoderStep> decoder = {};  ///< empty: tokens are joined
  std::vector<TokenId> prefix = {};       ///< of each text, by the post-processor
  std::vector<TokenId> suffix = {};
  TokenizerConfig config = {};  ///< of the files beside tokenizer.json
  std::string source = {};      ///< the text of the file that it was read from
};

/// What is found in a text for an added token.
[[nodiscard]] inline const std::string& text_of(const AddedToken& added,
                                                const TokenizerDefinition& definition) {
  return added.spelling.empty() ? definition.tokens[static_cast<size_t>(added.id)] : added.spelling;
}

}  // namespace loopbank
