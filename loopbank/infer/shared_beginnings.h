#pragma once
/// Pages of prompts that were read, for later prompts that begin alike.
///
/// Each page is found by what stands before it and by its own sixteen tokens, compared one by one;
/// the last of a beginning may be shared in part. Pages stay after the text that made them has
/// ended, until their memory is needed: the one that was not used for longest goes first.

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "loopbank/infer/cached_text.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

class SharedBeginnings {
 public:
  /// Stands for a beginning: equal ones of texts that were read in the same way.
  using Key = uint64_t;

  /// Of the empty beginning.
  /// @param how  all that decides keys and values besides the tokens
  [[nodiscard]] static Key root(std::string_view how);
  /// Of a beginning and the sixteen tokens that follow it.
  [[nodiscard]] static Key key_after(Key before, const TokenId* tokens);

  /// Gives a text the pages that follow, the last of them in part.
  /// @param key     of what the text holds up to its last whole page; of what it holds then
  /// @param tokens  of the text, those that it holds first
  /// @param most    tokens that it may hold afterwards
  /// @param loops   of each token that the text holds
  void extend(CachedText& text, Key& key, const std::vector<TokenId>& tokens, int64_t most,
              std::vector<double>& loops);

  /// Takes in the pages of a text.
  /// @param key    of the beginning up to `from`, a multiple of sixteen; of the last whole page then
  /// @param until  tokens that the text has read; a last page that is not full is taken in too, and
  ///               copied if the text goes on
  /// @param loops  of each token
  void add(const CachedText& text, Key& key, const std::vector<TokenId>& tokens, int64_t from,
           int64_t until, const std::vector<double>& loops);

  /// Forgets the page that was not used for longest.
  /// @return false where there is none
  bool drop_oldest();

 private:
  struct Entry {
    Key place = 0;      ///< by which it is found
    Key key = 0;        ///< of the beginning with it
    int64_t count = 0;  ///< tokens, fewer than sixteen in the last page of a text
    std::array<TokenId, ops::kPageTokens> tokens{};
    std::array<double, ops::kPageTokens> loops{};
    std::shared_ptr<Page> page;
  };
  using Entries = std::list<Entry>;
  /// The entry behind `before` with the most of these tokens in common, and how many.
  [[nodiscard]] std::pair<Entries::iterator, int64_t> best_match(Key before, const TokenId* tokens,
                                                                 int64_t count);

  Entries entries_;                                         // the latest used first
  std::unordered_multimap<Key, Entries::iterator> behind_;  // by place
};

}  // namespace loopbank
