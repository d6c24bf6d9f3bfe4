#pragma once
/// Everything a tokenizer is made of, as plain data: the contents of tokenizer.json.

#include <string>
#include <vector>

#include "loopbank/tokenize/bpe.h"
#include "loopbank/tokenize/pretokenizer.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

inline constexpr std::string_view kEndOfText = "<|endoftext|>";

/// A token that is found literally in the text, before any other step.
struct AddedToken {
  TokenId id = 0;
  bool special = true;        ///< found only where the caller asks for special tokens
  bool in_vocabulary = true;  ///< the file lists it in model.vocab as well
};

struct TokenizerDefinition {
  std::vector<std::string> tokens;  ///< [vocab_size] the bytes of each id
  std::vector<Merge> merges;        ///< in order of rank
  std::vector<AddedToken> added_tokens;
  std::vector<PreTokenizerStep> pre_tokenizer;
  bool ignore_merges = false;  ///< a word that is itself a token is not merged from bytes
};

}  // namespace loopbank
