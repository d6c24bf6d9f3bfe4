#pragma once
/// The scores of one run at several points of its training, for what systems gain with the tokens seen.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace loopbank {

struct ScoreCurve {
  int64_t seed = 0;
  std::vector<int64_t> step = {};   ///< rising; the last is that of the end, where that is known
  std::vector<double> tokens = {};  ///< seen until then, one a step
  std::map<std::string, std::vector<double>> scores = {};  ///< by column, one a step
};

}  // namespace loopbank
