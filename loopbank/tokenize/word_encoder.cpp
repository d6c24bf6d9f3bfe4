#include "loopbank/tokenize/word_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>

#include "loopbank/support/error.h"
#include "loopbank/tokenize/byte_alphabet.h"
#include "loopbank/tokenize/code_points.h"

namespace loopbank {
namespace {

/// The words' form of each token of model.vocab; nothing for tokens that no word has.
std::vector<std::optional<std::string>> texts_in_words(const TokenizerDefinition& definition) {
  std::vector<std::optional<std::string>> texts(definition.tokens.begin(), definition.tokens.end());
  for (const auto& added : definition.added_tokens) {
    if (!added.in_vocabulary) {
      texts[static_cast<size_t>(added.id)].reset();
    }
  }
  for (const auto id : definition.unspelled) {
    texts[static_cast<size_t>(id)].reset();
  }
  for (const auto& token : definition.shadowed) {
    texts[static_cast<size_t>(token.id)] = token.text;
  }
  return texts;
}

}  // namespace

std::array<TokenId, 256> find_byte_ids(const TokenizerDefinition& definition) {
  std::array<TokenId, 256> ids;
  ids.fill(-1);
  const auto texts = texts_in_words(definition);
  for (size_t id = 0; id < texts.size(); ++id) {
    if (texts[id] && texts[id]->size() == 1) {
      ids[static_cast<unsigned char>((*texts[id])[0])] = static_cast<TokenId>(id);
    }
  }
  return ids;
}

bool cover_utf8(const std::array<TokenId, 256>& byte_ids) {
  for (size_t byte = 0; byte < byte_ids.size(); ++byte) {
    const bool occurs = byte < 0xC0 || (byte > 0xC1 && byte < 0xF5);
    if (occurs && byte_ids[byte] < 0) {
      return false;
    }
  }
  return true;
}

WordEncoder::WordEncoder(const TokenizerDefinition& definition)
    : definition_(definition), merger_(definition.merges) {
  byte_ids_.fill(-1);
  fallback_ids_.fill(-1);
  if (definition_.byte_level) {
    byte_ids_ = find_byte_ids(definition_);
  }
  list_tokens();
}

void WordEncoder::list_tokens() {
  if (definition_.byte_level && !definition_.bpe.ignore_merges) {
    return;
  }
  std::vector<bool> special(definition_.tokens.size());
  for (const auto& added : definition_.added_tokens) {
    special[static_cast<size_t>(added.id)] = added.special;
  }
  const auto texts = texts_in_words(definition_);
  for (size_t id = 0; id < texts.size(); ++id) {
    if (!texts[id] || texts[id]->empty()) {
      continue;
    }
    if (!definition_.byte_level) {
      tokens_.emplace(*texts[id], static_cast<TokenId>(id));
    }
    if (definition_.bpe.ignore_merges && !special[id]) {
      whole_words_.emplace(*texts[id], static_cast<TokenId>(id));
    }
  }
  for (size_t byte = 0; byte < fallback_ids_.size(); ++byte) {
    const auto found = tokens_.find(fmt::format("<0x{:02X}>", byte));
    fallback_ids_[byte] = found == tokens_.end() ? -1 : found->second;
  }
}

void WordEncoder::append_new(std::string_view word, Scratch& scratch,
                             std::vector<TokenId>& ids) const {
  if (definition_.byte_level && word.size() == 1 &&
      byte_ids_[static_cast<unsigned char>(word[0])] < 0) {
    append("\uFFFD", scratch, ids);  // a byte that is never part of UTF-8
    return;
  }
  const size_t before = ids.size();
  const auto whole = whole_words_.empty() ? whole_words_.end() : whole_words_.find(word);
  if (whole != whole_words_.end()) {
    ids.push_back(whole->second);
  } else {
    scratch.symbols.clear();
    if (definition_.byte_level) {
      for (const char byte : word) {
        scratch.symbols.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
      }
    } else {
      append_characters(word, scratch.symbols);
    }
    merger_.append_merged(scratch.symbols, ids);
  }
  if (!word.empty() && word.size() <= WordCache::kMaxWordBytes) {
    scratch.cache.remember(word, std::span(ids).subspan(before));
  }
}

void WordEncoder::append_characters(std::string_view word, std::vector<TokenId>& symbols) const {
  const auto& bpe = definition_.bpe;
  bool waiting = false;  // an unknown token that is not written yet
  const auto write_waiting = [&] {
    if (waiting) {
      symbols.push_back(unknown_id());
    }
    waiting = false;
  };
  std::string changed;
  for (size_t at = 0; at < word.size();) {
    const size_t begin = at;
    (void)next_code_point(word, at);
    auto symbol = word.substr(begin, at - begin);
    const bool prefixed = begin > 0 && !bpe.continuing_subword_prefix.empty();
    const bool suffixed = at == word.size() && !bpe.end_of_word_suffix.empty();
    if (prefixed || suffixed) {
      changed = prefixed ? bpe.continuing_subword_prefix : std::string();
      changed += symbol;
      changed += suffixed ? bpe.end_of_word_suffix : std::string();
      symbol = changed;
    }
    if (const auto found = tokens_.find(symbol); found != tokens_.end()) {
      write_waiting();
      symbols.push_back(found->second);
    } else if (bpe.byte_fallback && append_fallback(symbol, symbols)) {
      continue;  // an unknown token goes on waiting, as in the reference
    } else if (bpe.unknown) {
      if (!bpe.fuse_unknown) {
        write_waiting();
      }
      waiting = true;
    }
  }
  write_waiting();
}

bool WordEncoder::append_fallback(std::string_view symbol, std::vector<TokenId>& symbols) const {
  const auto id_of = [&](char byte) { return fallback_ids_[static_cast<unsigned char>(byte)]; };
  if (std::any_of(symbol.begin(), symbol.end(), [&](char byte) { return id_of(byte) < 0; })) {
    return false;
  }
  for (const char byte : symbol) {
    symbols.push_back(id_of(byte));
  }
  return true;
}

TokenId WordEncoder::unknown_id() const {
  const auto found = tokens_.find(*definition_.bpe.unknown);
  if (found == tokens_.end()) {
    fail(ErrorCode::kData,
         "tokenizer: expected the unk_token \"{}\" in model.vocab for a character that has no "
         "token, got none.",
         *definition_.bpe.unknown);
  }
  return found->second;
}

}  // namespace loopbank
