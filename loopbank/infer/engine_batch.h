#pragma once
/// The tokens of a pass of the engine, and the pass itself.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "loopbank/infer/engine.h"
#include "loopbank/infer/engine_text.h"

namespace loopbank {

struct Engine::Batch {
  Batch(const PageStore& store, const ops::AttentionHeads& heads) : context(store, heads) {}

  struct Row {
    EngineText* text;
    int64_t position;
    bool wants_logits;
  };
  std::vector<BatchToken> tokens;
  std::vector<int64_t> ids;
  std::vector<Row> rows;  ///< those of texts that are being written stand first
  int64_t text_rows = 0;  ///< how many these are
  /// A prompt that is being read.
  struct Reading {
    EngineText* text;
    int64_t unread = 0;  ///< tokens that it could read in this pass
    int64_t taken = 0;   ///< tokens that it is sure to
  };
  std::vector<Reading> reading;
  /// Pages that are being read, for others to share: their tokens by what stands before them.
  std::unordered_multimap<SharedBeginnings::Key, std::span<const TokenId>> pages;
  BatchContext context;
  std::vector<int64_t> wanted;  ///< rows whose logits are asked for, some at a time
  std::vector<std::shared_ptr<const TokenInside>> inside;  ///< by row, where some asked; else empty

  /// No tokens; what they lay in is used again.
  void clear() {
    tokens.clear();
    ids.clear();
    rows.clear();
    text_rows = 0;
    reading.clear();
    pages.clear();
  }

  /// Whether a prompt has a token here: such a pass says nothing of how fast texts grow.
  [[nodiscard]] bool reads_prompts() const {
    return std::any_of(rows.begin(), rows.end(),
                       [](const Row& row) { return row.position < row.text->job->prompt_size(); });
  }

  /// Tokens that the pages behind `before` have in common with these at most.
  [[nodiscard]] int64_t common(SharedBeginnings::Key before,
                               std::span<const TokenId> page_tokens) const {
    int64_t most = 0;
    const auto [first, last] = pages.equal_range(before);
    for (auto page = first; page != last; ++page) {
      const auto& theirs = page->second;
      const auto end =
          page_tokens.begin() + static_cast<int64_t>(std::min(page_tokens.size(), theirs.size()));
      most = std::max(most, std::mismatch(page_tokens.begin(), end, theirs.begin()).first -
                                page_tokens.begin());
    }
    return most;
  }
};

}  // namespace loopbank
