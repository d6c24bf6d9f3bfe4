#include "loopbank/ops/pages.h"

#include <cstring>

namespace loopbank::ops {
namespace {

/// visit(a value) of either dtype: as whole numbers, whose bits are copied.
template <typename Visit>
void with_page_type(const PageLayout& layout, const Visit& visit) {
  if (layout.is_bf16) {
    visit(uint16_t{});
  } else {
    visit(uint32_t{});
  }
}

/// Where value i of a token's keys lies among those of its head.
template <typename T>
int64_t place_of_key(int64_t i, int64_t index) {
  constexpr int64_t kTogether = sizeof(T) == 2 ? 2 : 1;
  return (i / kTogether * kPageTokens + index) * kTogether + i % kTogether;
}

}  // namespace

void store_token(const PageLayout& layout, void* block, int64_t index, const void* key,
                 const void* value) {
  with_page_type(layout, [&]<typename T>(T) {
    const auto width = layout.width;
    auto* to = static_cast<T*>(block);
    const auto* keys = static_cast<const T*>(key);
    const auto* values = static_cast<const T*>(value);
    for (int64_t head = 0; head < layout.key_heads; ++head, keys += width, values += width) {
      for (int64_t i = 0; i < width; ++i) {
        to[place_of_key<T>(i, index)] = keys[i];
      }
      to += kPageTokens * width;
      std::memcpy(to + index * width, values, static_cast<size_t>(width) * sizeof(T));
      to += kPageTokens * width;
    }
  });
}

void load_token(const PageLayout& layout, const void* block, int64_t index, void* key,
                void* value) {
  with_page_type(layout, [&]<typename T>(T) {
    const auto width = layout.width;
    const auto* from = static_cast<const T*>(block);
    auto* keys = static_cast<T*>(key);
    auto* values = static_cast<T*>(value);
    for (int64_t head = 0; head < layout.key_heads; ++head, keys += width, values += width) {
      for (int64_t i = 0; i < width; ++i) {
        keys[i] = from[place_of_key<T>(i, index)];
      }
      from += kPageTokens * width;
      std::memcpy(values, from + index * width, static_cast<size_t>(width) * sizeof(T));
      from += kPageTokens * width;
    }
  });
}

}  // namespace loopbank::ops
