#pragma once
/// One problem of a synthetic task and its answer, before it is a line of training text or a question.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace loopbank {

/// Text `statement` + `question`, then a space and the answer.
struct Example {
  int64_t difficulty = 1;
  std::string statement = {};
  std::string question;
  std::string answer;
  std::vector<std::string> choices = {};  ///< all answers there can be; empty: the exact one alone
  std::vector<int64_t> steps = {};        ///< consecutive steps behind each byte of `answer`
  /// Equal for problems that are solved alike: that differ in the order of operands or in names.
  std::string key;
};

/// The digits of base 36: a number below 36 is one byte, and so one token.
inline constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";

}  // namespace loopbank
