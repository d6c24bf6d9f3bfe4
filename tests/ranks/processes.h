#pragma once
/// A few ranks as processes of a test, which fork(2) makes: LibTorch is loaded already. The test itself
/// computes nothing before, since threads do not survive fork.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "loopbank/ranks/ranks.h"

namespace loopbank::testing {

/// Runs `body` in `count` processes of one thread each, and returns what each said: its text, or
/// "error CODE: ..." with what it threw. A process that was killed says nothing.
/// @param timeout_seconds  of their exchanges
std::vector<std::string> run_ranks(int64_t count,
                                   const std::function<std::string(const Ranks&)>& body,
                                   double timeout_seconds = 30.0);

}  // namespace loopbank::testing
