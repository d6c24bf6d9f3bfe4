#include "loopbank/study/comparison_json.h"

#include <nlohmann/json.hpp>

#include "loopbank/study/comparison_members.h"

namespace loopbank {

nlohmann::ordered_json to_json(const SystemComparison& comparison) {
  auto by = JsonWriter{.json = JsonWriter::write(comparison)};
  by.json["relative"] = {{"difference", comparison.share(comparison.decisive.difference)},
                         {"low", comparison.share(comparison.decisive.low)},
                         {"high", comparison.share(comparison.decisive.high)}};
  by("num_seeds", comparison.num_seeds);
  by("adjusted_p", comparison.adjusted_p);
  by("family_size", comparison.family_size);
  by("smallest_effect", comparison.smallest_effect);
  by("seeds_needed", comparison.seeds_needed);
  by("verdict", name_of(comparison.verdict));
  return std::move(by.json);
}

}  // namespace loopbank
