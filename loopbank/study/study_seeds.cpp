#include "loopbank/study/study_seeds.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <system_error>

#include "loopbank/support/append_missing.h"

namespace loopbank {

std::vector<int64_t> seeds_of(const std::vector<System>& systems) {
  std::vector<int64_t> seeds;
  for (const auto& system : systems) {
    append_missing(seeds, system.seeds);
  }
  return seeds;
}

std::vector<int64_t> in_order_of(const std::vector<int64_t>& order,
                                 const std::vector<int64_t>& seeds) {
  std::vector<int64_t> sorted;
  for (const auto* list : {&order, &seeds}) {
    for (const auto seed : *list) {
      if (std::find(seeds.begin(), seeds.end(), seed) != seeds.end() &&
          std::find(sorted.begin(), sorted.end(), seed) == sorted.end()) {
        sorted.push_back(seed);
      }
    }
  }
  return sorted;
}

std::vector<int64_t> seeds_under(const std::filesystem::path& directory) {
  static const std::string kPrefix = "seed-";
  std::vector<int64_t> seeds;
  std::error_code none;  // there is no such folder yet
  for (const auto& entry : std::filesystem::directory_iterator(directory, none)) {
    const auto name = entry.path().filename().string();
    int64_t seed = 0;
    const auto* end = name.data() + name.size();
    if (name.starts_with(kPrefix) &&
        std::from_chars(name.data() + kPrefix.size(), end, seed).ptr == end) {
      seeds.push_back(seed);
    }
  }
  std::sort(seeds.begin(), seeds.end());
  return seeds;
}

}  // namespace loopbank
