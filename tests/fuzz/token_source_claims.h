#pragma once
/// What must hold of any source of tokens that was opened.

#include <algorithm>
#include <array>

#include "loopbank/data/token_source.h"
#include "target.h"

namespace loopbank::fuzz {

/// Documents follow each other from the first token to the last; ids lie in the vocabulary.
/// @param verified  whether every id was checked when the source was opened
inline void read_all(const TokenSource& source, bool verified) {
  int64_t end = 0;
  for (int64_t i = 0; i < source.num_documents(); ++i) {
    const auto document = source.document(i);
    require(document.first == end && document.second > end, "documents follow each other");
    end = document.second;
    std::array<int64_t, 256> ids{};
    const auto count = std::min<int64_t>(ids.size(), end - document.first);
    const bool good = accepted([&] { source.copy(end - count, count, ids.data()); });
    require(good || !verified, "a verified source holds ids of its vocabulary alone");
    require(!good || source.vocab_size() == 0 ||
                *std::max_element(ids.begin(), ids.end()) < source.vocab_size(),
            "ids that are given out lie in the vocabulary");
  }
  require(end == source.num_tokens(), "the documents hold every token");
  int64_t id = 0;
  require(!accepted([&] { source.copy(end, 1, &id); }), "no token behind the last");
}

}  // namespace loopbank::fuzz
