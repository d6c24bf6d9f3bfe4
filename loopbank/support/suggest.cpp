#include "loopbank/support/suggest.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace loopbank {

int edit_distance(std::string_view a, std::string_view b) {
  const size_t width = b.size() + 1;
  std::vector<int> table((a.size() + 1) * width);  // [|a|+1, |b|+1]
  const auto at = [&](size_t i, size_t j) -> int& { return table[i * width + j]; };
  for (size_t i = 0; i <= a.size(); ++i) {
    at(i, 0) = static_cast<int>(i);
  }
  for (size_t j = 0; j <= b.size(); ++j) {
    at(0, j) = static_cast<int>(j);
  }
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const int substitution = at(i - 1, j - 1) + (a[i - 1] == b[j - 1] ? 0 : 1);
      at(i, j) = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, substitution});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
      }
    }
  }
  return at(a.size(), b.size());
}

std::string suggestion(std::string_view name, const std::vector<std::string>& known) {
  if (known.empty()) {
    return "";
  }
  const auto nearest = std::min_element(
      known.begin(), known.end(), [&](const std::string& left, const std::string& right) {
        return edit_distance(name, left) < edit_distance(name, right);
      });
  const int near_enough = std::max<int>(1, static_cast<int>(name.size()) / 3);
  if (edit_distance(name, *nearest) <= near_enough) {
    return fmt::format(" Did you mean \"{}\"?", *nearest);
  }
  return fmt::format(" Known: {}.", fmt::join(known, ", "));
}

}  // namespace loopbank
