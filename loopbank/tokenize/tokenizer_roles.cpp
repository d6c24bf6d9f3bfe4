#include "loopbank/tokenize/tokenizer_roles.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "loopbank/support/error.h"
#include "loopbank/support/hash.h"
#include "loopbank/tokenize/byte_alphabet.h"
#include "loopbank/tokenize/tokenizer_parts_json.h"

namespace loopbank {
namespace {

/// Names of the token between documents, where no file says which it is.
constexpr auto kEndNames =
    std::to_array<std::string_view>({kEndOfText, "</s>", "<eos>", "<|end_of_text|>", "<|im_end|>"});

/// The id of a token as a file spells it: an added one, or one of the vocabulary.
std::optional<TokenId> id_of_token(const TokenizerDefinition& definition,
                                   const std::optional<std::string>& name) {
  if (!name || name->empty()) {
    return std::nullopt;
  }
  for (const auto& added : definition.added_tokens) {
    if (text_of(added, definition) == *name) {
      return added.id;
    }
  }
  const auto text = definition.byte_level ? bytes_of_spelling(*name) : name;
  const auto found = text ? std::find(definition.tokens.begin(), definition.tokens.end(), *text)
                          : definition.tokens.end();
  if (found == definition.tokens.end()) {
    return std::nullopt;
  }
  return static_cast<TokenId>(found - definition.tokens.begin());
}

/// The token that a flag asks for.
TokenId wanted_token(const char* key, const std::optional<std::string>& name,
                     const std::optional<TokenId>& id) {
  if (!id) {
    fail(ErrorCode::kData, "tokenizer_config.json: expected {} among the tokens, got {}.", key,
         name ? fmt::format("\"{}\", which is none of them", *name) : "none");
  }
  return *id;
}

std::optional<TokenId> end_by_name(const TokenizerDefinition& definition) {
  for (const auto name : kEndNames) {
    for (const auto& added : definition.added_tokens) {
      if (text_of(added, definition) == name) {
        return added.id;
      }
    }
  }
  return std::nullopt;
}

/// What a file can say beyond what all files of earlier versions had in common.
std::string newer_parts(const TokenizerDefinition& definition, const TokenizerRoles& roles) {
  std::string text;
  for (const auto& step : definition.normalizer) {
    text += fmt::format("normalizer {}\n", canonical_step(step));
  }
  const bool both_sorts =
      !definition.normalizer.empty() ||
      std::any_of(definition.added_tokens.begin(), definition.added_tokens.end(),
                  [&](const auto& added) {
                    return added.normalized != definition.added_tokens.front().normalized;
                  });
  for (const auto& added : definition.added_tokens) {
    const bool normalized = added.normalized && both_sorts;
    if (added.single_word || added.lstrip || added.rstrip || normalized) {
      text += fmt::format("finds {} {} {} {} {}\n", added.id, added.single_word, added.lstrip,
                          added.rstrip, normalized);
    }
  }
  if (!definition.byte_level) {
    const auto& bpe = definition.bpe;
    text += fmt::format("text {} {} {} {} {} {} {} {}\n", bpe.byte_fallback, bpe.fuse_unknown,
                        bpe.unknown.has_value(), bpe.unknown.value_or(""),
                        bpe.continuing_subword_prefix.size(), bpe.continuing_subword_prefix,
                        bpe.end_of_word_suffix.size(), bpe.end_of_word_suffix);
    for (const auto& added : definition.added_tokens) {
      text += fmt::format("in vocabulary {}\n", added.in_vocabulary);
    }
  }
  for (const auto& token : definition.shadowed) {
    text += fmt::format("shadowed {} {} {}\n", token.id, token.text.size(), token.text);
  }
  if (!definition.unspelled.empty()) {
    text += fmt::format("unspelled {}\n", fmt::join(definition.unspelled, " "));
  }
  if (!roles.prefix.empty() || !roles.suffix.empty()) {
    text +=
        fmt::format("frame {} | {}\n", fmt::join(roles.prefix, " "), fmt::join(roles.suffix, " "));
  }
  if (roles.ids.eos && roles.ids.eos != end_by_name(definition)) {
    text += fmt::format("eos {}\n", *roles.ids.eos);
  }
  return text;
}

}  // namespace

TokenizerRoles::TokenizerRoles(const TokenizerDefinition& definition)
    : prefix(definition.prefix), suffix(definition.suffix) {
  const auto& config = definition.config;
  ids = {.bos = id_of_token(definition, config.bos),
         .eos = id_of_token(definition, config.eos),
         .pad = id_of_token(definition, config.pad),
         .unk = id_of_token(definition, config.unk)};
  if (config.add_bos == true) {
    const auto bos = wanted_token("bos_token", config.bos, ids.bos);
    if (prefix.empty() || prefix.front() != bos) {
      prefix.insert(prefix.begin(), bos);
    }
  } else if (config.add_bos == false && ids.bos && !prefix.empty() && prefix.front() == *ids.bos) {
    prefix.erase(prefix.begin());
  }
  if (config.add_eos == true) {
    const auto eos = wanted_token("eos_token", config.eos, ids.eos);
    if (suffix.empty() || suffix.back() != eos) {
      suffix.push_back(eos);
    }
  } else if (config.add_eos == false && ids.eos && !suffix.empty() && suffix.back() == *ids.eos) {
    suffix.pop_back();
  }
  for (const auto* side : {&prefix, &suffix}) {
    for (const auto id : *side) {
      if (static_cast<size_t>(id) >= definition.tokens.size()) {
        fail(ErrorCode::kData, "tokenizer: expected ids below {} in the post-processor, got {}.",
             definition.tokens.size(), id);
      }
    }
  }
}

TokenId end_of_text_of(const TokenizerDefinition& definition, const TokenizerRoles& roles) {
  if (definition.config.eos) {
    return wanted_token("eos_token", definition.config.eos, roles.ids.eos);
  }
  if (const auto id = end_by_name(definition)) {
    return *id;
  }
  fail(
      ErrorCode::kData,
      "tokenizer: expected an added token {} or an eos_token in tokenizer_config.json, got none of "
      "them among {} added tokens.",
      fmt::join(kEndNames, ", "), definition.added_tokens.size());
}

std::string vocabulary_hash(const TokenizerDefinition& definition, const TokenizerRoles& roles) {
  std::string canonical = fmt::format("tokens {}\n", definition.tokens.size());
  for (const auto& token : definition.tokens) {
    canonical += fmt::format("{} ", token.size());
    canonical += token;
  }
  canonical += fmt::format("\nmerges {}\n", definition.merges.size());
  for (const auto& merge : definition.merges) {
    canonical += fmt::format("{} {} {}\n", merge.left, merge.right, merge.merged);
  }
  auto added_tokens = definition.added_tokens;
  std::sort(added_tokens.begin(), added_tokens.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  for (const auto& added : added_tokens) {
    canonical += fmt::format("added {} {}\n", added.id, added.special);
  }
  for (const auto& step : definition.pre_tokenizer) {
    canonical += canonical_text(step);
  }
  canonical += fmt::format("ignore_merges {}\n", definition.bpe.ignore_merges);
  canonical += newer_parts(definition, roles);
  return format_hash(hash_of(canonical));
}

}  // namespace loopbank
