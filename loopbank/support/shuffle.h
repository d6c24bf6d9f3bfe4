#pragma once
/// A random order that is the same on every machine; std::shuffle's depends on the library.

#include <utility>
#include <vector>

#include "loopbank/support/random.h"

namespace loopbank {

/// Puts the items in a random order (Fisher and Yates), each order as likely as any other.
template <typename Item>
void shuffle(std::vector<Item>& items, RandomStream& random) {
  for (size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1], items[random.below(i)]);
  }
}

}  // namespace loopbank
