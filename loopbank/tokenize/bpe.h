#pragma once
/// Byte pair encoding of one word: pairs merge by rank, lowest first, then leftmost.
///
/// Not here: cutting text into words (pretokenizer.h), the tokens that a word starts from
/// (word_encoder.h) and what the ids mean (tokenizer.h).

#include <cstdint>
#include <span>
#include <vector>

#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// Two neighbours that become one token. The rank of a merge is its position in the list.
struct Merge {
  TokenId left = 0;
  TokenId right = 0;
  TokenId merged = 0;
  bool operator==(const Merge&) const = default;
};

/// The list of merges, indexed for fast lookup.
class MergeTable {
 public:
  static constexpr uint32_t kNoRank = UINT32_MAX;

  struct Entry {
    uint32_t rank = kNoRank;
    TokenId merged = 0;
  };

  /// @param merges  in order of rank, each pair at most once
  explicit MergeTable(const std::vector<Merge>& merges);

  /// The merge of a pair, or an entry of kNoRank.
  [[nodiscard]] Entry find(TokenId left, TokenId right) const {
    const uint64_t key = key_of(left, right);
    for (size_t slot = slot_of(key);; slot = (slot + 1) & mask_) {
      if (slots_[slot].key == key) {
        return slots_[slot].entry;
      }
      if (slots_[slot].key == kEmpty) {
        return {};
      }
    }
  }

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;  // ids are not negative
  struct Slot {
    uint64_t key = kEmpty;
    Entry entry;
  };
  static uint64_t key_of(TokenId left, TokenId right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32U | static_cast<uint32_t>(right);
  }
  [[nodiscard]] size_t slot_of(uint64_t key) const {
    return static_cast<size_t>((key * 0x9e3779b97f4a7c15ULL) >> shift_);  // Fibonacci hashing
  }

  std::vector<Slot> slots_;
  size_t mask_ = 0;
  unsigned shift_ = 0;
};

/// Ids of words by repeated merging.
class BpeMerger {
 public:
  explicit BpeMerger(const std::vector<Merge>& merges);

  /// Appends what the tokens of a word become. Takes time O(n log n) in their number, and O(n)
  /// memory. Safe to call from several threads.
  /// @param symbols  the tokens that the word starts from
  /// @throws Error kData for 2^32 - 1 symbols or more
  void append_merged(std::span<const TokenId> symbols, std::vector<TokenId>& ids) const;

 private:
  void append_short(std::span<const TokenId> symbols, std::vector<TokenId>& ids) const;
  void append_long(std::span<const TokenId> symbols, std::vector<TokenId>& ids) const;

  MergeTable table_;
};

}  // namespace loopbank
