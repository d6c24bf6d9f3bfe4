#include "loopbank/tokenize/tokenizer.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/json.h"
#include "loopbank/support/utf8.h"
#include "loopbank/tokenize/added_tokens.h"
#include "loopbank/tokenize/byte_alphabet.h"
#include "loopbank/tokenize/characters.h"
#include "loopbank/tokenize/tokenizer_definition.h"
#include "loopbank/tokenize/tokenizer_json.h"
#include "loopbank/tokenize/tokenizer_roles.h"
#include "loopbank/tokenize/word_encoder.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTokenizerFile = "tokenizer.json";

/// The added tokens that are found in the text as it is, or those found in the normalized text.
std::vector<AddedTokenPattern> patterns_of(const TokenizerDefinition& definition, bool normalized,
                                           const Normalizer& normalizer) {
  std::vector<AddedTokenPattern> patterns;
  Regex::Matcher matcher;
  for (const auto& added : definition.added_tokens) {
    if (added.normalized != normalized) {
      continue;
    }
    auto content = text_of(added, definition);
    if (normalized && !normalizer.empty()) {
      auto result = normalizer.apply(content, matcher);
      if (result.text.empty()) {
        fail(ErrorCode::kData,
             "tokenizer: expected a normalizer that leaves something of the added token {}, got "
             "nothing for \"{}\".",
             added.id, content);
      }
      content = std::move(result.text);
    }
    patterns.push_back({.content = std::move(content),
                        .id = added.id,
                        .special = added.special,
                        .single_word = added.single_word,
                        .lstrip = added.lstrip,
                        .rstrip = added.rstrip});
  }
  // Of two with the same text a special one counts.
  std::stable_partition(patterns.begin(), patterns.end(),
                        [](const auto& pattern) { return pattern.special; });
  return patterns;
}

}  // namespace

// Members of Tokenizer::Impl stand outside: a type with external linkage has no unnamed parts.

/// What one call of `encode` needs for itself.
struct EncodingScratch {
  Regex::Matcher matcher;
  WordEncoder::Scratch words;
};

/// Scratch that waits between calls: as many as calls ever ran at once.
class EncodingScratchPool {
 public:
  std::unique_ptr<EncodingScratch> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        auto scratch = std::move(free_.back());
        free_.pop_back();
        return scratch;
      }
    }
    return std::make_unique<EncodingScratch>();
  }
  void give_back(std::unique_ptr<EncodingScratch> scratch) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(scratch));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<EncodingScratch>> free_;
};

/// text -> added tokens -> normalizer -> added tokens that are normalized -> words -> ids
struct Tokenizer::Impl {
  explicit Impl(TokenizerDefinition parts)
      : definition(std::move(parts)),
        normalizer(definition.normalizer),
        pre_tokenizer(definition.pre_tokenizer),
        words(definition),
        raw_tokens(patterns_of(definition, false, normalizer)),
        normalized_tokens(patterns_of(definition, true, normalizer)),
        roles(definition),
        hash(vocabulary_hash(definition, roles)),
        special(definition.tokens.size()) {
    for (const auto& added : definition.added_tokens) {
      special[static_cast<size_t>(added.id)] = added.special;
    }
    if (!normalizer.empty()) {
      pre_tokenizer.expect_certain_start(
          !normalizer.tells_start() ||
          std::any_of(definition.added_tokens.begin(), definition.added_tokens.end(),
                      [](const auto& added) { return added.normalized; }));
    }
    const auto& ids = words.byte_ids();
    const auto& steps = definition.pre_tokenizer;
    bytes_alone = definition.byte_level && definition.merges.empty() &&
                  !definition.bpe.ignore_merges && normalizer.empty() && steps.size() == 1 &&
                  pre_tokenizer.keeps_text() &&
                  std::none_of(ids.begin(), ids.end(), [](TokenId id) { return id < 0; });
    tokens_are_texts = definition.byte_level && only_byte_level(definition.decoder);
    if (!tokens_are_texts) {
      std::vector<bool> verbatim(definition.tokens.size());
      for (const auto& added : definition.added_tokens) {
        verbatim[static_cast<size_t>(added.id)] = !added.in_vocabulary;
      }
      texts = TokenTexts(spell_tokens(definition), verbatim, definition.decoder);
    }
  }

  std::vector<TokenId> encode(std::string_view text, bool parse_special, bool at_start) const {
    std::vector<TokenId> ids;
    ids.reserve(bytes_alone ? text.size() : text.size() / 3);
    auto scratch = scratch_pool.take();
    append(text, parse_special, at_start, *scratch, ids);
    scratch_pool.give_back(std::move(scratch));
    return ids;
  }

  /// Appends the ids of a text, nothing put around it.
  void append(std::string_view text, bool parse_special, bool at_start, EncodingScratch& scratch,
              std::vector<TokenId>& ids) const {
    std::string replaced;
    if (!definition.byte_level && !is_valid_utf8(text)) {
      replaced = with_replacement_characters(text);
      text = replaced;
    }
    raw_tokens.cut(
        text, parse_special,
        [&](std::string_view piece, size_t begin) {
          append_piece(piece, at_start && begin == 0, parse_special, scratch, ids);
        },
        [&](const AddedTokenFinder::Found& found) { ids.push_back(found.id); });
  }

  /// Appends the ids of text between added tokens that are found in the text as it is.
  void append_piece(std::string_view text, bool at_start, bool parse_special,
                    EncodingScratch& scratch, std::vector<TokenId>& ids) const {
    if (normalizer.empty()) {
      append_normalized(text, at_start, parse_special, scratch, ids);
      return;
    }
    const auto append_run = [&](std::string_view run, size_t begin) {
      const bool starts = at_start && begin == 0;
      if (normalizer.keeps(run)) {
        append_normalized(run, starts, parse_special, scratch, ids);
      } else {
        const auto result = normalizer.apply(run, scratch.matcher);
        append_normalized(result.text, starts && result.starts_same, parse_special, scratch, ids);
      }
    };
    // Bytes that are no UTF-8 are left as they are.
    for_each_utf8_run(text, append_run,
                      [&](std::string_view byte) { words.append(byte, scratch.words, ids); });
  }

  void append_normalized(std::string_view text, bool at_start, bool parse_special,
                         EncodingScratch& scratch, std::vector<TokenId>& ids) const {
    normalized_tokens.cut(
        text, parse_special,
        [&](std::string_view piece, size_t begin) {
          append_words(piece, at_start && begin == 0, scratch, ids);
        },
        [&](const AddedTokenFinder::Found& found) { ids.push_back(found.id); });
  }

  /// Appends the ids of text without added tokens.
  void append_words(std::string_view text, bool at_start, EncodingScratch& scratch,
                    std::vector<TokenId>& ids) const {
    if (bytes_alone) {
      for (const char byte : text) {
        ids.push_back(words.byte_ids()[static_cast<unsigned char>(byte)]);
      }
    } else if (definition.byte_level || !pre_tokenizer.is_byte_level()) {
      pre_tokenizer.split(text, at_start, scratch.matcher,
                          [&](std::string_view word) { words.append(word, scratch.words, ids); });
    } else {
      pre_tokenizer.split(text, at_start, scratch.matcher, [&](std::string_view word) {
        words.append(spell_bytes(word), scratch.words, ids);
      });
    }
  }

  void check_id(TokenId id) const {
    if (id < 0 || static_cast<size_t>(id) >= definition.tokens.size()) {
      fail(ErrorCode::kData, "tokenizer: expected ids in [0, {}), got {}.",
           definition.tokens.size(), id);
    }
  }

  TokenizerDefinition definition;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  WordEncoder words;
  AddedTokenFinder raw_tokens;
  AddedTokenFinder normalized_tokens;
  TokenizerRoles roles;
  std::string hash;
  std::vector<bool> special;      // [vocab_size]
  bool bytes_alone = false;       // no word has more than one way to be written
  bool tokens_are_texts = false;  // then `texts` is empty
  TokenTexts texts;
  mutable EncodingScratchPool scratch_pool;
};

Tokenizer Tokenizer::load(const fs::path& path) {
  const auto file = fs::is_directory(path) ? path / kTokenizerFile : path;
  auto definition =
      parse_tokenizer_json(read_file(file, ErrorCode::kData, kLargestJsonBytes), file.string());
  if (file.filename() == kTokenizerFile) {
    definition.config = load_tokenizer_config(file.parent_path());
  }
  try {
    return Tokenizer(std::move(definition));
  } catch (const Error& error) {
    throw Error(error.code(), file.string() + ": " + error.what());
  }
}

Tokenizer Tokenizer::bytes() {
  TokenizerDefinition definition;
  for (int byte = 0; byte < 256; ++byte) {
    definition.tokens.emplace_back(1, static_cast<char>(byte));
  }
  definition.tokens.emplace_back(kEndOfText);
  definition.added_tokens = {{.id = 256}};
  definition.pre_tokenizer = {{.use_regex = false}};
  return Tokenizer(std::move(definition));
}

Tokenizer::Tokenizer(TokenizerDefinition definition)
    : impl_(std::make_unique<Impl>(std::move(definition))) {}

Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool parse_special) const {
  return impl_->encode(text, parse_special, /*at_start=*/true);
}

std::vector<TokenId> Tokenizer::encode_behind(std::string_view text) const {
  return impl_->encode(text, /*parse_special=*/false, /*at_start=*/false);
}

std::vector<TokenId> Tokenizer::encode_prompt(std::string_view text, bool parse_special) const {
  auto ids = encode(text, parse_special);
  const auto& prefix = text_prefix();
  ids.insert(ids.begin(), prefix.begin(), prefix.end());
  return ids;
}

std::vector<TokenId> Tokenizer::encode_framed(std::string_view text, bool parse_special) const {
  auto ids = encode_prompt(text, parse_special);
  const auto& suffix = text_suffix();
  ids.insert(ids.end(), suffix.begin(), suffix.end());
  return ids;
}

const std::vector<TokenId>& Tokenizer::text_prefix() const {
  return impl_->roles.prefix;
}

const std::vector<TokenId>& Tokenizer::text_suffix() const {
  return impl_->roles.suffix;
}

SpecialIds Tokenizer::special_ids() const {
  return impl_->roles.ids;
}

const TokenizerConfig& Tokenizer::config() const {
  return impl_->definition.config;
}

std::vector<Tokenizer::SpelledToken> Tokenizer::special_tokens(std::string_view text) const {
  std::vector<SpelledToken> spelled;
  size_t offset = 0;
  const auto take = [&](const AddedTokenFinder::Found& found) {
    if (found.special) {
      spelled.push_back({offset + found.begin, offset + found.end, found.id});
    }
  };
  const auto cut_piece = [&](std::string_view piece, size_t begin) {
    offset = begin;
    impl_->normalized_tokens.cut(
        piece, /*parse_special=*/true, [](std::string_view, size_t) {}, take);
    offset = 0;
  };
  impl_->raw_tokens.cut(text, /*parse_special=*/true, cut_piece, take);
  return spelled;
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::for_each(ids.begin(), ids.end(), [&](TokenId id) { impl_->check_id(id); });
  if (!impl_->tokens_are_texts) {
    return impl_->texts.join(ids);
  }
  std::string text;
  text.reserve(ids.size() * 4);
  for (const auto id : ids) {
    text += impl_->definition.tokens[static_cast<size_t>(id)];
  }
  return text;
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  impl_->check_id(id);
  const auto number = static_cast<size_t>(id);
  return impl_->tokens_are_texts ? impl_->definition.tokens[number] : impl_->texts.middle(number);
}

std::string_view Tokenizer::first_token_bytes(TokenId id) const {
  impl_->check_id(id);
  const auto number = static_cast<size_t>(id);
  return impl_->tokens_are_texts ? impl_->definition.tokens[number] : impl_->texts.first(number);
}

std::string_view Tokenizer::token_bytes_behind(std::span<const TokenId> before, TokenId id) const {
  const bool first = std::all_of(before.begin(), before.end(),
                                 [&](TokenId earlier) { return is_special(earlier); });
  return first ? first_token_bytes(id) : token_bytes(id);
}

bool Tokenizer::is_special(TokenId id) const {
  impl_->check_id(id);
  return impl_->special[static_cast<size_t>(id)];
}

int64_t Tokenizer::vocab_size() const {
  return static_cast<int64_t>(impl_->definition.tokens.size());
}

TokenId Tokenizer::end_of_text() const {
  return end_of_text_of(impl_->definition, impl_->roles);
}

const std::string& Tokenizer::hash() const {
  return impl_->hash;
}

void Tokenizer::save(const fs::path& path) const {
  const auto& definition = impl_->definition;
  write_file_atomically(path, write_tokenizer_json(definition));
  save_tokenizer_config(definition.config, path.parent_path());
}

}  // namespace loopbank
