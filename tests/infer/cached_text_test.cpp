#include "loopbank/infer/cached_text.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

namespace loopbank {
namespace {

constexpr ops::PageLayout kLayout{.key_heads = 1, .width = 2};

/// A text and what it should hold: one number a token, written to every slot.
struct Told {
  CachedText text;
  std::vector<float> values;
};

void write(CachedText& text, int64_t position, float value) {
  const float pair[2] = {value, -value};
  for (int64_t slot = 0; slot < text.map().count(); ++slot) {
    ops::store_token(kLayout, text.block(slot, position), position % ops::kPageTokens, pair, pair);
  }
}

void expect_held(const Told& told) {
  ASSERT_EQ(told.text.length(), static_cast<int64_t>(told.values.size()));
  for (int64_t position = 0; position < told.text.length(); ++position) {
    for (int64_t slot = 0; slot < told.text.map().count(); ++slot) {
      float key[2], value[2];
      ops::load_token(kLayout, told.text.block(slot, position), position % ops::kPageTokens, key,
                      value);
      const auto expected = told.values[static_cast<size_t>(position)];
      ASSERT_EQ(key[0], expected) << position << " " << slot;
      ASSERT_EQ(value[1], -expected) << position << " " << slot;
    }
  }
}

TEST(CachedText, RandomProgramsKeepEveryTextAndLeakNothing) {
  PageStore store(kLayout, {3, 1, 2}, int64_t{1} << 20);
  store.poison();
  std::mt19937_64 random(5);
  for (int program = 0; program < 10000; ++program) {
    std::vector<Told> texts;
    float next = 1.0F;
    const auto kind = static_cast<PageSlots>(random() % 3);
    for (int step = 0; step < 12; ++step) {
      const auto which = texts.empty() ? 0 : random() % texts.size();
      switch (texts.empty() ? 0 : random() % 5) {
        case 0:
          texts.push_back({CachedText(store, kind), {}});
          break;
        case 1:
        case 2: {
          auto& told = texts[which];
          const auto from = told.text.length();
          const auto count = static_cast<int64_t>(1 + random() % 20);
          ASSERT_TRUE(told.text.extend(from + count));
          for (int64_t i = 0; i < count; ++i) {
            told.values.push_back(next);
            write(told.text, from + i, next++);
          }
          break;
        }
        case 3:
          texts.push_back({texts[which].text.fork(), texts[which].values});
          break;
        default:
          if (random() % 2 == 0) {
            const auto length = random() % (texts[which].values.size() + 1);
            texts[which].text.truncate(static_cast<int64_t>(length));
            texts[which].values.resize(length);
          } else {
            texts.erase(texts.begin() + static_cast<int64_t>(which));
          }
      }
    }
    if (program % 50 == 0) {
      for (const auto& told : texts) {
        expect_held(told);
      }
    }
  }
  EXPECT_EQ(store.bytes_in_use(), 0);
  EXPECT_GT(store.peak_bytes(), 0);
}

TEST(CachedText, ABudgetIsKeptAndATextThatDoesNotFitIsAsItWas) {
  PageStore store(kLayout, {2}, 3 * 2 * kLayout.bytes());  // three pages
  CachedText first(store, PageSlots::kEveryLoop);
  ASSERT_TRUE(first.extend(20));
  CachedText second(store, PageSlots::kEveryLoop);
  EXPECT_FALSE(second.extend(17));
  EXPECT_EQ(second.length(), 0);
  EXPECT_TRUE(second.extend(16));
  EXPECT_FALSE(second.extend(17));
  EXPECT_EQ(second.length(), 16);
  EXPECT_EQ(store.bytes_in_use(), store.budget());
  first = CachedText(store, PageSlots::kEveryLoop);
  EXPECT_TRUE(second.extend(48));
}

TEST(CachedText, ReducingKeepsTheOneSlotThatStays) {
  PageStore store(kLayout, {3, 1}, int64_t{1} << 20);
  Told told{CachedText(store, PageSlots::kBoth), {}};
  ASSERT_TRUE(told.text.extend(20));
  const auto& map = told.text.map();
  EXPECT_EQ(map.count(), 5);
  for (int64_t position = 0; position < 20; ++position) {
    told.values.push_back(static_cast<float>(position));
    for (int64_t layer = 0; layer < 2; ++layer) {
      const float pair[2] = {told.values.back(), -told.values.back()};
      ops::store_token(kLayout, told.text.block(map.kept(layer), position),
                       position % ops::kPageTokens, pair, pair);
    }
  }
  ASSERT_TRUE(told.text.reduce());
  EXPECT_EQ(told.text.slots(), PageSlots::kOne);
  EXPECT_EQ(store.bytes_in_use(), 2 * store.page_bytes(PageSlots::kOne));
  expect_held(told);
}

TEST(PageStore, BytesOfATokenAreThoseOfItsSlots) {
  const PageStore store({.key_heads = 2, .width = 8, .is_bf16 = true}, {3, 0 + 1}, 1);
  EXPECT_EQ(store.token_bytes(PageSlots::kEveryLoop), 4 * 2 * 2 * 8 * 2);
  EXPECT_EQ(store.token_bytes(PageSlots::kOne), 2 * 2 * 2 * 8 * 2);
}

}  // namespace
}  // namespace loopbank
