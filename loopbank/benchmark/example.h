#pragma once
/// One problem of a synthetic task and its answer, before it is a line of training text or a question.

#include <cstdint>
#include <string>
#include <vector>

namespace loopbank {

struct Example {
  std::string context;  ///< through what the answer follows behind a space
  std::string answer;
  std::vector<std::string> choices = {};  ///< all answers there can be; empty: the exact one alone
  std::vector<int64_t> steps = {};        ///< consecutive steps behind each byte of `answer`
};

}  // namespace loopbank
