#include "loopbank/infer/shared_beginnings.h"

#include <algorithm>
#include <utility>

#include "loopbank/support/hash.h"

namespace loopbank {
namespace {

constexpr int64_t kPage = ops::kPageTokens;

/// Pages of equal beginnings share at least their first token. With it few are compared, however
/// many stand behind the same text, such as those of all prompts behind none.
SharedBeginnings::Key place_of(SharedBeginnings::Key before, const TokenId* tokens) {
  return hash_of({reinterpret_cast<const char*>(tokens), sizeof(TokenId)}, before);
}

}  // namespace

SharedBeginnings::Key SharedBeginnings::key_after(Key before, const TokenId* tokens) {
  std::array<TokenId, kPage> page{};
  std::copy(tokens, tokens + kPage, page.begin());
  const std::string_view bytes(reinterpret_cast<const char*>(page.data()), sizeof(page));
  return hash_of(bytes, before);
}

SharedBeginnings::Key SharedBeginnings::root(std::string_view how) {
  return hash_of(how, 0);
}

std::pair<SharedBeginnings::Entries::iterator, int64_t> SharedBeginnings::best_match(
    Key before, const TokenId* tokens, int64_t count) {
  std::pair<Entries::iterator, int64_t> best{entries_.end(), 0};
  const auto [first, last] = behind_.equal_range(place_of(before, tokens));
  for (auto candidate = first; candidate != last; ++candidate) {
    const auto& theirs = candidate->second->tokens;
    const auto* const end = tokens + std::min(count, candidate->second->count);
    const auto differ = std::mismatch(tokens, end, theirs.begin()).first;
    if (differ - tokens > best.second) {
      best = {candidate->second, differ - tokens};
    }
  }
  return best;
}

void SharedBeginnings::extend(CachedText& text, Key& key, const std::vector<TokenId>& tokens,
                              int64_t most, std::vector<double>& loops) {
  while (text.length() < most) {
    const auto page_begin = text.length() / kPage * kPage;
    const auto [entry, count] =
        best_match(key, tokens.data() + page_begin, std::min(kPage, most - page_begin));
    if (page_begin + count <= text.length()) {
      return;
    }
    text.truncate(page_begin);
    loops.resize(static_cast<size_t>(page_begin));
    entries_.splice(entries_.begin(), entries_, entry);
    text.share(entry->page, count);
    loops.insert(loops.end(), entry->loops.begin(), entry->loops.begin() + count);
    if (count == kPage) {
      key = entry->key;
    }
  }
}

void SharedBeginnings::add(const CachedText& text, Key& key, const std::vector<TokenId>& tokens,
                           int64_t from, int64_t until, const std::vector<double>& loops) {
  for (int64_t at = from; at < until; at += kPage) {
    const auto* const page_tokens = tokens.data() + at;
    const auto size = std::min(kPage, until - at);
    const auto known = best_match(key, page_tokens, size).second;
    const auto before = key;
    if (size == kPage) {
      key = key_after(key, page_tokens);
    }
    if (known == size) {
      continue;
    }
    auto& entry = entries_.emplace_front();
    entry.place = place_of(before, page_tokens);
    entry.key = key;
    entry.count = size;
    std::copy(page_tokens, page_tokens + size, entry.tokens.begin());
    std::copy(loops.begin() + at, loops.begin() + at + size, entry.loops.begin());
    entry.page = text.pages()[static_cast<size_t>(at / kPage)];
    behind_.emplace(entry.place, entries_.begin());
  }
}

bool SharedBeginnings::drop_oldest() {
  if (entries_.empty()) {
    return false;
  }
  const auto oldest = std::prev(entries_.end());
  const auto [first, last] = behind_.equal_range(oldest->place);
  behind_.erase(std::find_if(first, last, [&](const auto& at) { return at.second == oldest; }));
  entries_.erase(oldest);
  return true;
}

}  // namespace loopbank
