#include "loopbank/support/hash.h"

#include <gtest/gtest.h>

#include <string>

namespace loopbank {
namespace {

// Of xxHash's own tests: files that hold these hashes must open for ever.
TEST(Hash, IsXxh3) {
  EXPECT_EQ(hash_of(std::string_view()), 0x2d06800538d394c2U);
  EXPECT_EQ(format_hash(hash_of("abc")), "78af5f94892f3950");
  EXPECT_EQ(format_hash(0x1aU), "000000000000001a");
}

TEST(Hash, PartsAreHashedAsTheWhole) {
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += std::to_string(i * i);
  }
  Hasher hasher;
  EXPECT_EQ(hasher.hash(), hash_of(""));
  for (size_t begin = 0; begin < text.size(); begin += 37) {
    hasher.add(std::string_view(text).substr(begin, 37));
  }
  EXPECT_EQ(hasher.hash(), hash_of(text));
  EXPECT_NE(hash_of(text), hash_of(text, /*seed=*/1));
}

}  // namespace
}  // namespace loopbank
