#pragma once
/// How often a text holds another, for tests.

#include <cstddef>
#include <string>

namespace loopbank::testing {

/// Those that overlap count each.
inline size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

}  // namespace loopbank::testing
