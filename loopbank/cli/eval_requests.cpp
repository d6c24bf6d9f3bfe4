#include "loopbank/cli/eval_requests.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loopbank/support/error.h"

namespace loopbank::cli {

void run_request_check(const std::vector<std::string>& directories,
                       const RequestCheckOptions& options, bool json) {
  std::vector<RequestFileCheck> checks;
  for (const auto& directory : directories) {
    const auto found = check_requests(directory, options);
    checks.insert(checks.end(), found.begin(), found.end());
  }
  if (json) {
    fmt::print("{}\n", to_json(checks).dump(2));
  } else {
    fmt::print("{}", describe(checks));
  }
  if (const int64_t differences = count_differences(checks); differences > 0) {
    fail(ErrorCode::kData,
         "--check-requests: expected every request to be equal, got {} that differ.", differences);
  }
}

}  // namespace loopbank::cli
