#pragma once
/// loopbank eval --check-requests DIR: prompts compared with recorded requests.

#include <string>
#include <vector>

#include "loopbank/eval/request_check.h"

namespace loopbank::cli {

/// Prints the comparison of every folder, as lines or as JSON.
/// @throws Error kData if a request differs
void run_request_check(const std::vector<std::string>& directories,
                       const RequestCheckOptions& options, bool json);

}  // namespace loopbank::cli
