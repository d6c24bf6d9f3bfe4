#include "loopbank/tokenize/word_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace loopbank {
namespace {

using Ids = std::vector<TokenId>;

TEST(WordCache, GivesBackWhatItRemembersAfterWhatIsThere) {
  WordCache cache;
  const std::string longest(WordCache::kMaxWordBytes, 'x');
  cache.remember("ab", Ids{1, 2});
  cache.remember(longest, Ids{3, 4, 5, 6, 7, 8, 9, 10});
  Ids ids{0};
  EXPECT_TRUE(cache.append("ab", ids));
  EXPECT_TRUE(cache.append(longest, ids));
  EXPECT_EQ(ids, (Ids{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
}

TEST(WordCache, DoesNotKnowOtherWords) {
  WordCache cache;
  Ids ids;
  EXPECT_FALSE(cache.append("ab", ids));
  cache.remember("ab", Ids{1});
  for (const char* word : {"a", "abc", "ba", "AB"}) {
    EXPECT_FALSE(cache.append(word, ids)) << word;
  }
  EXPECT_TRUE(ids.empty());
}

TEST(WordCache, WordsOfTooManyIdsAreLeftOut) {
  WordCache cache;
  Ids ids;
  // An id that spells "nine": were it written behind the others, the word would stay right.
  cache.remember("nine", Ids(WordCache::kMaxIds + 1, 0x656E696E));
  EXPECT_FALSE(cache.append("nine", ids));
}

TEST(WordCache, ANewWordTakesThePlaceOfAnOldOne) {
  WordCache cache;
  const int num_words = 200'000;  // more than there are entries
  for (int i = 0; i < num_words; ++i) {
    cache.remember(std::to_string(i), Ids{i});
  }
  int num_known = 0;
  for (int i = 0; i < num_words; ++i) {
    Ids ids;
    if (cache.append(std::to_string(i), ids)) {
      ++num_known;
      ASSERT_EQ(ids, Ids{i});
    }
  }
  EXPECT_GT(num_known, 10'000);
  EXPECT_LT(num_known, 100'000);
}

}  // namespace
}  // namespace loopbank
