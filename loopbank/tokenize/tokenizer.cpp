#include "loopbank/tokenize/tokenizer.h"

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/hash.h"
#include "loopbank/support/json.h"
#include "loopbank/tokenize/tokenizer_definition.h"
#include "loopbank/tokenize/tokenizer_json.h"
#include "loopbank/tokenize/word_cache.h"

namespace loopbank {
namespace {

/// The token of each byte.
std::array<TokenId, 256> find_byte_ids(const TokenizerDefinition& definition) {
  std::array<TokenId, 256> ids;
  ids.fill(-1);
  std::vector<bool> outside(definition.tokens.size());
  for (const auto& added : definition.added_tokens) {
    outside[static_cast<size_t>(added.id)] = !added.in_vocabulary;
  }
  for (size_t id = 0; id < definition.tokens.size(); ++id) {
    if (definition.tokens[id].size() == 1 && !outside[id]) {
      ids[static_cast<unsigned char>(definition.tokens[id][0])] = static_cast<TokenId>(id);
    }
  }
  for (size_t byte = 0; byte < ids.size(); ++byte) {
    if (ids[byte] < 0) {
      fail(ErrorCode::kData,
           "tokenizer: expected a token for each of the 256 bytes, got none for 0x{:02X}.", byte);
    }
  }
  return ids;
}

/// XXH3 over everything that decides ids, in an order of its own.
std::string vocabulary_hash(const TokenizerDefinition& definition) {
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
  canonical += fmt::format("ignore_merges {}\n", definition.ignore_merges);
  return format_hash(hash_of(canonical));
}

}  // namespace

// Members of Tokenizer::Impl stand outside: a type with external linkage has no unnamed parts.

/// Where the added tokens stand in a text: the leftmost, of those that start there the longest.
class AddedTokenFinder {
 public:
  struct Found {
    size_t begin = 0;
    size_t end = 0;
    TokenId id = 0;
    bool special = false;
  };

  explicit AddedTokenFinder(const TokenizerDefinition& definition) {
    for (const auto& added : definition.added_tokens) {
      const auto& content = definition.tokens[static_cast<size_t>(added.id)];
      by_first_byte_[static_cast<unsigned char>(content[0])].push_back({content, added});
      any_ordinary_ = any_ordinary_ || !added.special;
    }
    for (auto& candidates : by_first_byte_) {
      std::stable_sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
        return a.content.size() > b.content.size();
      });
    }
  }

  /// The first added token at or after `from`; special ones only where `parse_special`.
  [[nodiscard]] std::optional<Found> find(std::string_view text, size_t from,
                                          bool parse_special) const {
    if (!parse_special && !any_ordinary_) {
      return std::nullopt;
    }
    for (size_t at = from; at < text.size(); ++at) {
      for (const auto& candidate : by_first_byte_[static_cast<unsigned char>(text[at])]) {
        if ((parse_special || !candidate.token.special) &&
            text.substr(at).starts_with(candidate.content)) {
          return Found{at, at + candidate.content.size(), candidate.token.id,
                       candidate.token.special};
        }
      }
    }
    return std::nullopt;
  }

 private:
  struct Candidate {
    std::string content;
    AddedToken token;
  };
  std::array<std::vector<Candidate>, 256> by_first_byte_;
  bool any_ordinary_ = false;
};

/// What one call of `encode` needs for itself.
struct EncodingScratch {
  Regex::Matcher matcher;
  WordCache cache;
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

struct Tokenizer::Impl {
  explicit Impl(TokenizerDefinition parts)
      : definition(std::move(parts)),
        byte_ids(find_byte_ids(definition)),
        pre_tokenizer(definition.pre_tokenizer),
        merger(definition.merges, byte_ids),
        added_tokens(definition),
        hash(vocabulary_hash(definition)),
        bytes_alone(definition.merges.empty() && !definition.ignore_merges &&
                    pre_tokenizer.keeps_text()) {
    if (definition.ignore_merges) {
      for (size_t id = 0; id < definition.tokens.size(); ++id) {
        whole_words.emplace(definition.tokens[id], static_cast<TokenId>(id));
      }
      for (const auto& added : definition.added_tokens) {
        whole_words.erase(definition.tokens[static_cast<size_t>(added.id)]);
      }
    }
  }

  void append_word(std::string_view word, EncodingScratch& scratch,
                   std::vector<TokenId>& ids) const {
    if (word.size() == 1) {
      ids.push_back(byte_ids[static_cast<unsigned char>(word[0])]);
      return;
    }
    const bool cached = word.size() <= WordCache::kMaxWordBytes;
    if (cached && scratch.cache.append(word, ids)) {
      return;
    }
    const auto whole = whole_words.empty() ? whole_words.end() : whole_words.find(word);
    const size_t before = ids.size();
    if (whole != whole_words.end()) {
      ids.push_back(whole->second);
    } else {
      merger.append_merged(word, ids);
    }
    if (cached) {
      scratch.cache.remember(word, std::span(ids).subspan(before));
    }
  }

  /// Appends the ids of text between added tokens.
  void append_text(std::string_view text, bool at_start, EncodingScratch& scratch,
                   std::vector<TokenId>& ids) const {
    if (bytes_alone) {
      for (const char byte : text) {
        ids.push_back(byte_ids[static_cast<unsigned char>(byte)]);
      }
      return;
    }
    pre_tokenizer.split(text, at_start, scratch.matcher,
                        [&](std::string_view word) { append_word(word, scratch, ids); });
  }

  TokenizerDefinition definition;
  std::array<TokenId, 256> byte_ids;
  PreTokenizer pre_tokenizer;
  BpeMerger merger;
  AddedTokenFinder added_tokens;
  std::unordered_map<std::string_view, TokenId> whole_words;  // where merges are ignored for them
  std::string hash;
  bool bytes_alone;  // no word has more than one way to be written
  mutable EncodingScratchPool scratch_pool;
};

Tokenizer Tokenizer::load(const std::filesystem::path& path) {
  const auto file = std::filesystem::is_directory(path) ? path / "tokenizer.json" : path;
  auto definition =
      parse_tokenizer_json(read_file(file, ErrorCode::kData, kLargestJsonBytes), file.string());
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
  std::vector<TokenId> ids;
  ids.reserve(impl_->bytes_alone ? text.size() : text.size() / 3);
  auto scratch = impl_->scratch_pool.take();
  size_t from = 0;
  while (const auto found = impl_->added_tokens.find(text, from, parse_special)) {
    impl_->append_text(text.substr(from, found->begin - from), from == 0, *scratch, ids);
    ids.push_back(found->id);
    from = found->end;
  }
  impl_->append_text(text.substr(from), from == 0, *scratch, ids);
  impl_->scratch_pool.give_back(std::move(scratch));
  return ids;
}

std::vector<Tokenizer::SpelledToken> Tokenizer::special_tokens(std::string_view text) const {
  std::vector<SpelledToken> spelled;
  size_t from = 0;
  while (const auto found = impl_->added_tokens.find(text, from, /*parse_special=*/true)) {
    if (found->special) {
      spelled.push_back({found->begin, found->end, found->id});
    }
    from = found->end;
  }
  return spelled;
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string text;
  text.reserve(ids.size() * 4);
  for (const auto id : ids) {
    text += token_bytes(id);
  }
  return text;
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  const auto& tokens = impl_->definition.tokens;
  if (id < 0 || static_cast<size_t>(id) >= tokens.size()) {
    fail(ErrorCode::kData, "tokenizer: expected ids in [0, {}), got {}.", tokens.size(), id);
  }
  return tokens[static_cast<size_t>(id)];
}

int64_t Tokenizer::vocab_size() const {
  return static_cast<int64_t>(impl_->definition.tokens.size());
}

TokenId Tokenizer::end_of_text() const {
  const auto& definition = impl_->definition;
  for (const std::string_view name :
       {kEndOfText, std::string_view("</s>"), std::string_view("<eos>"),
        std::string_view("<|end_of_text|>")}) {
    for (const auto& added : definition.added_tokens) {
      if (definition.tokens[static_cast<size_t>(added.id)] == name) {
        return added.id;
      }
    }
  }
  fail(ErrorCode::kData,
       "tokenizer: expected an added token <|endoftext|>, </s>, <eos> or <|end_of_text|>, got none "
       "of them among {} added tokens.",
       definition.added_tokens.size());
}

const std::string& Tokenizer::hash() const {
  return impl_->hash;
}

void Tokenizer::save(const std::filesystem::path& path) const {
  write_file_atomically(path, write_tokenizer_json(impl_->definition));
}

}  // namespace loopbank
