#include "loopbank/tokenize/bpe_trainer.h"

#include <algorithm>
#include <queue>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "loopbank/support/error.h"
#include "loopbank/support/hash.h"
#include "loopbank/tokenize/tokenizer_definition.h"

namespace loopbank {
namespace {

constexpr int64_t kNumByteTokens = 256;
constexpr int64_t kMaxVocabulary = int64_t{1} << 24;  // 16 million

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return hash_of(text); }
};

using WordCounts = std::unordered_map<std::string, int64_t, TextHash, std::equal_to<>>;

void count_word(std::string_view word, WordCounts& counts) {
  while (word.size() > 1) {  // a single byte holds no pair
    const auto part = word.substr(0, kMaxTrainingWordBytes);
    word.remove_prefix(part.size());
    if (const auto known = counts.find(part); known != counts.end()) {
      ++known->second;
    } else {
      counts.emplace(part, 1);
    }
  }
}

WordCounts count_words(const std::function<bool(std::string&)>& next_document,
                       const PreTokenizer& pre_tokenizer,
                       const std::function<void(int64_t)>& on_progress) {
  constexpr int64_t kDocumentsAReport = 256;
  WordCounts counts;
  Regex::Matcher matcher;
  std::string document;
  int64_t num_documents = 0;
  while (next_document(document)) {
    pre_tokenizer.split(document, /*at_start=*/true, matcher,
                        [&](std::string_view word) { count_word(word, counts); });
    if (++num_documents % kDocumentsAReport == 0 && on_progress) {
      on_progress(0);
    }
  }
  if (num_documents == 0) {
    fail(ErrorCode::kData, "train-tokenizer: expected at least one document, got none.");
  }
  return counts;
}

/// Two neighbouring ids as one number, ordered as the pair is.
using Pair = uint64_t;

Pair pair_of(TokenId left, TokenId right) {
  return static_cast<Pair>(left) << 32U | static_cast<Pair>(right);
}

/// The distinct words as ids, and for each pair how often it stands in the text and in which
/// words. Counts are exact after every merge.
class PairCounts {
 public:
  explicit PairCounts(const WordCounts& counts) {
    words_.reserve(counts.size());
    for (const auto& [text, count] : counts) {
      Word word{.ids = {}, .count = count};
      for (const char byte : text) {
        word.ids.push_back(static_cast<unsigned char>(byte));
      }
      words_.push_back(std::move(word));
    }
    for (size_t index = 0; index < words_.size(); ++index) {
      const auto& ids = words_[index].ids;
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        add(pair_of(ids[i], ids[i + 1]), index);
      }
    }
    offer_grown();
  }

  struct Best {
    Pair pair = 0;
    int64_t count = 0;  // 0: no pair is left
  };

  /// Takes the pair met most often, the lowest ids first where several are.
  Best take_best() {
    while (!candidates_.empty()) {
      const auto candidate = candidates_.top();
      candidates_.pop();
      const auto found = pairs_.find(candidate.pair);
      if (found == pairs_.end() || found->second.count <= 0) {
        continue;
      }
      if (found->second.count == candidate.count) {
        return {candidate.pair, candidate.count};
      }
      if (found->second.count < candidate.count) {  // merges around it took some away
        candidates_.push({found->second.count, candidate.pair});
      }
    }
    return {};
  }

  /// Replaces the pair by `merged` in every word.
  void merge(Pair pair, TokenId merged) {
    const auto indices = std::move(pairs_.at(pair).words);
    for (const auto index : indices) {
      merge_in(index, pair, merged);
    }
    pairs_.erase(pair);
    offer_grown();
  }

 private:
  struct Word {
    std::vector<TokenId> ids;
    int64_t count = 0;
  };
  struct Occurrences {
    int64_t count = 0;
    std::vector<uint32_t> words;  // where it stands or has stood
  };
  struct Candidate {
    int64_t count = 0;
    Pair pair = 0;
    bool operator<(const Candidate& other) const {
      return count != other.count ? count < other.count : pair > other.pair;
    }
  };

  void add(Pair pair, size_t index) {
    auto& occurrences = pairs_[pair];
    occurrences.count += words_[index].count;
    if (occurrences.words.empty() || occurrences.words.back() != index) {
      occurrences.words.push_back(static_cast<uint32_t>(index));
    }
    grown_.push_back(pair);
  }
  void remove(Pair pair, size_t index) { pairs_.at(pair).count -= words_[index].count; }

  /// A pair whose count fell is found out when it comes up; one whose count rose must be told.
  void offer_grown() {
    std::sort(grown_.begin(), grown_.end());
    grown_.erase(std::unique(grown_.begin(), grown_.end()), grown_.end());
    for (const auto pair : grown_) {
      candidates_.push({pairs_.at(pair).count, pair});
    }
    grown_.clear();
  }

  void merge_in(size_t index, Pair pair, TokenId merged) {
    auto& ids = words_[index].ids;
    size_t out = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (i + 1 == ids.size() || pair_of(ids[i], ids[i + 1]) != pair) {
        ids[out++] = ids[i];
        continue;
      }
      // ids[0, out) are as they will be, ids[i, end) as they were.
      remove(pair, index);
      if (out > 0) {
        remove(pair_of(ids[out - 1], ids[i]), index);
        add(pair_of(ids[out - 1], merged), index);
      }
      if (i + 2 < ids.size()) {
        remove(pair_of(ids[i + 1], ids[i + 2]), index);
        add(pair_of(merged, ids[i + 2]), index);
      }
      ids[out++] = merged;
      ++i;
    }
    ids.resize(out);
  }

  std::vector<Word> words_;
  std::unordered_map<Pair, Occurrences> pairs_;
  std::priority_queue<Candidate> candidates_;
  std::vector<Pair> grown_;
};

/// The tokens while they are made.
class Vocabulary {
 public:
  explicit Vocabulary(TokenizerDefinition& definition) : definition_(definition) {
    for (int64_t byte = 0; byte < kNumByteTokens; ++byte) {
      id_of(std::string(1, static_cast<char>(byte)));
    }
  }

  /// The token that the pair becomes; two pairs may spell the same token.
  TokenId merge(Pair pair) {
    const auto left = static_cast<TokenId>(pair >> 32U);
    const auto right = static_cast<TokenId>(pair & UINT32_MAX);
    const auto merged = id_of(definition_.tokens[static_cast<size_t>(left)] +
                              definition_.tokens[static_cast<size_t>(right)]);
    if (merged_.insert(pair).second) {
      definition_.merges.push_back({left, right, merged});
    }
    return merged;
  }
  [[nodiscard]] int64_t size() const { return static_cast<int64_t>(definition_.tokens.size()); }

 private:
  TokenId id_of(std::string token) {
    const auto [found, is_new] = ids_.emplace(std::move(token), static_cast<TokenId>(size()));
    if (is_new) {
      definition_.tokens.push_back(found->first);
    }
    return found->second;
  }

  TokenizerDefinition& definition_;
  std::unordered_map<std::string, TokenId> ids_;
  std::unordered_set<Pair> merged_;
};

void check(const TokenizerTrainingOptions& options) {
  if (options.vocab_size <= kNumByteTokens || options.vocab_size > kMaxVocabulary) {
    fail(ErrorCode::kConfig,
         "train-tokenizer: expected a vocab_size from {} (the bytes and {}) to {}, got {}.",
         kNumByteTokens + 1, kEndOfText, kMaxVocabulary, options.vocab_size);
  }
  if (options.min_frequency < 1) {
    fail(ErrorCode::kConfig, "train-tokenizer: expected a min_frequency of at least 1, got {}.",
         options.min_frequency);
  }
}

}  // namespace

Tokenizer train_bpe(const std::function<bool(std::string&)>& next_document,
                    const TokenizerTrainingOptions& options) {
  constexpr int64_t kTokensAReport = 64;
  check(options);
  TokenizerDefinition definition;
  if (options.individual_digits) {
    definition.pre_tokenizer.push_back({.kind = PreTokenizerStep::Kind::kDigits});
  }
  definition.pre_tokenizer.push_back({.kind = PreTokenizerStep::Kind::kByteLevel});
  PairCounts pairs(
      count_words(next_document, PreTokenizer(definition.pre_tokenizer), options.on_progress));

  Vocabulary vocabulary(definition);
  while (vocabulary.size() < options.vocab_size - 1) {
    const auto best = pairs.take_best();
    if (best.count < options.min_frequency) {
      break;
    }
    pairs.merge(best.pair, vocabulary.merge(best.pair));
    if (options.on_progress && vocabulary.size() % kTokensAReport == 0) {
      options.on_progress(vocabulary.size());
    }
  }
  definition.added_tokens = {{.id = static_cast<TokenId>(vocabulary.size())}};
  definition.tokens.emplace_back(kEndOfText);
  return Tokenizer(std::move(definition));
}

}  // namespace loopbank
