#pragma once
/// The most recent words and their ids: a table of fixed size that forgets instead of growing.
///
/// One entry is one cache line, found by one hash; a new word replaces the old one. Rejected: a
/// chained map of every word; web text has millions of distinct words, most of them met once.

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "loopbank/support/hash.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// For one thread at a time.
class WordCache {
 public:
  static constexpr size_t kMaxWordBytes = 30;
  static constexpr size_t kMaxIds = 8;

  WordCache() : entries_(kNumEntries) {}

  /// Appends the ids of the word if it is known.
  /// @param word  1 to kMaxWordBytes bytes
  bool append(std::string_view word, std::vector<TokenId>& ids) const {
    const auto& entry = entries_[index_of(word)];
    if (entry.word_size != word.size() ||
        std::memcmp(entry.word.data(), word.data(), word.size()) != 0) {
      return false;
    }
    ids.insert(ids.end(), entry.ids.begin(), entry.ids.begin() + entry.num_ids);
    return true;
  }

  /// Remembers the word, unless it has more than kMaxIds ids.
  void remember(std::string_view word, std::span<const TokenId> ids) {
    if (ids.size() > kMaxIds) {
      return;
    }
    auto& entry = entries_[index_of(word)];
    entry.word_size = static_cast<uint8_t>(word.size());
    entry.num_ids = static_cast<uint8_t>(ids.size());
    std::memcpy(entry.word.data(), word.data(), word.size());
    std::memcpy(entry.ids.data(), ids.data(), ids.size_bytes());
  }

 private:
  static constexpr size_t kNumEntries = size_t{1} << 15;  // 2 MB
  struct alignas(64) Entry {
    std::array<TokenId, kMaxIds> ids{};
    std::array<char, kMaxWordBytes> word{};
    uint8_t word_size = 0;  // 0: nothing here
    uint8_t num_ids = 0;
  };
  static_assert(sizeof(Entry) == 64);

  static size_t index_of(std::string_view word) { return hash_of(word) % kNumEntries; }

  std::vector<Entry> entries_;
};

}  // namespace loopbank
