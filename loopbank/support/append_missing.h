#pragma once
/// Lists that hold each item once.

#include <algorithm>

namespace loopbank {

/// Appends those of `more` that the list does not hold yet, in their order.
void append_missing(auto& list, const auto& more) {
  for (const auto& item : more) {
    if (std::find(list.begin(), list.end(), item) == list.end()) {
      list.push_back(item);
    }
  }
}

}  // namespace loopbank
