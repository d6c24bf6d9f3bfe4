#include "loopbank/tokenize/bpe.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <queue>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

/// Up to here a scan for the lowest rank is faster than a heap.
constexpr size_t kShortWord = 64;

/// A long word while it is merged: a linked list over its symbols and a heap of candidate pairs.
/// A pair is named by the position of its left token; entries of the heap that no longer hold
/// are recognised by their rank, which belongs to one pair alone.
class LongWord {
 public:
  LongWord(std::span<const TokenId> symbols, const MergeTable& table)
      : table_(table), nodes_(symbols.size()) {
    const auto size = static_cast<uint32_t>(symbols.size());
    for (uint32_t i = 0; i < size; ++i) {
      nodes_[i] = {.id = symbols[i],
                   .previous = i == 0 ? kNone : i - 1,
                   .next = i + 1 == size ? kNone : i + 1};
    }
    for (uint32_t i = 0; i < size; ++i) {
      offer(i);
    }
  }

  void merge_all() {
    while (!candidates_.empty()) {
      const uint64_t candidate = candidates_.top();
      candidates_.pop();
      const auto at = static_cast<uint32_t>(candidate);
      if (nodes_[at].rank == static_cast<uint32_t>(candidate >> 32U)) {
        merge(at);
      }
    }
  }

  void append_to(std::vector<TokenId>& ids) const {
    for (uint32_t at = 0; at != kNone; at = nodes_[at].next) {
      ids.push_back(nodes_[at].id);
    }
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Node {
    TokenId id = 0;
    TokenId merged = 0;  // what this token and the next one become
    uint32_t rank = MergeTable::kNoRank;
    uint32_t previous = kNone;
    uint32_t next = kNone;
  };

  /// Looks up the pair that starts at `at` and puts it on the heap where it merges.
  void offer(uint32_t at) {
    auto& node = nodes_[at];
    const auto entry =
        node.next == kNone ? MergeTable::Entry{} : table_.find(node.id, nodes_[node.next].id);
    node.rank = entry.rank;
    node.merged = entry.merged;
    if (entry.rank != MergeTable::kNoRank) {
      candidates_.push(static_cast<uint64_t>(entry.rank) << 32U | at);
    }
  }

  void merge(uint32_t at) {
    auto& left = nodes_[at];
    auto& right = nodes_[left.next];
    left.id = left.merged;
    left.next = right.next;
    right.rank = MergeTable::kNoRank;
    if (left.next != kNone) {
      nodes_[left.next].previous = at;
    }
    offer(at);
    if (left.previous != kNone) {
      offer(left.previous);
    }
  }

  const MergeTable& table_;
  std::vector<Node> nodes_;
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> candidates_;
};

}  // namespace

MergeTable::MergeTable(const std::vector<Merge>& merges) {
  const size_t num_slots = std::bit_ceil(std::max<size_t>(2 * merges.size() + 1, 16));
  slots_.resize(num_slots);
  mask_ = num_slots - 1;
  shift_ = 64U - static_cast<unsigned>(std::countr_zero(num_slots));
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const uint64_t key = key_of(merges[rank].left, merges[rank].right);
    size_t slot = slot_of(key);
    while (slots_[slot].key != kEmpty) {
      slot = (slot + 1) & mask_;
    }
    slots_[slot] = {key, {static_cast<uint32_t>(rank), merges[rank].merged}};
  }
}

BpeMerger::BpeMerger(const std::vector<Merge>& merges) : table_(merges) {}

void BpeMerger::append_merged(std::span<const TokenId> symbols, std::vector<TokenId>& ids) const {
  if (symbols.size() <= kShortWord) {
    append_short(symbols, ids);
  } else {
    append_long(symbols, ids);
  }
}

void BpeMerger::append_short(std::span<const TokenId> symbols, std::vector<TokenId>& ids) const {
  std::array<TokenId, kShortWord> tokens;
  std::array<MergeTable::Entry, kShortWord> pairs;  // of each token with the next one
  size_t size = symbols.size();
  std::copy(symbols.begin(), symbols.end(), tokens.begin());
  for (size_t i = 0; i + 1 < size; ++i) {
    pairs[i] = table_.find(tokens[i], tokens[i + 1]);
  }
  while (size > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < size; ++i) {
      if (pairs[i].rank < pairs[best].rank) {
        best = i;
      }
    }
    if (pairs[best].rank == MergeTable::kNoRank) {
      break;
    }
    tokens[best] = pairs[best].merged;
    const auto gap = static_cast<std::ptrdiff_t>(best) + 1;
    const auto end = static_cast<std::ptrdiff_t>(size);
    std::copy(tokens.begin() + gap + 1, tokens.begin() + end, tokens.begin() + gap);
    if (gap < end - 1) {
      std::copy(pairs.begin() + gap + 1, pairs.begin() + end - 1, pairs.begin() + gap);
    }
    --size;
    if (best + 1 < size) {
      pairs[best] = table_.find(tokens[best], tokens[best + 1]);
    }
    if (best > 0) {
      pairs[best - 1] = table_.find(tokens[best - 1], tokens[best]);
    }
  }
  ids.insert(ids.end(), tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(size));
}

void BpeMerger::append_long(std::span<const TokenId> symbols, std::vector<TokenId>& ids) const {
  if (symbols.size() >= UINT32_MAX) {
    fail(ErrorCode::kData, "BPE: expected words below {} symbols, got one of {}.", UINT32_MAX,
         symbols.size());
  }
  LongWord long_word(symbols, table_);
  long_word.merge_all();
  long_word.append_to(ids);
}

}  // namespace loopbank
