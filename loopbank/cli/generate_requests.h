#pragma once
/// Requests of `loopbank generate`, computed together.

#include <functional>
#include <string_view>
#include <vector>

#include "loopbank/infer/completion_file.h"
#include "loopbank/infer/generator.h"

namespace loopbank::cli {

/// What happens to completions; each may be empty.
struct CompletionHandlers {
  /// Completions that are not asked for again.
  std::function<bool(const CompletionRequest& request, int64_t completion)> is_done;
  /// Text as it comes; returning false stops this completion.
  std::function<bool(std::string_view piece)> take_text;
  /// The whole of it, in the order in which they end; returning false stops everything.
  std::function<bool(const CompletionRequest& request, const Generation& generation)> take;
};

/// Checks all requests, then computes them.
/// @throws Error kConfig, beginning with the request's place, before any is computed
void run_requests(Generator& generator, const std::vector<CompletionRequest>& requests,
                  const CompletionHandlers& handlers);

}  // namespace loopbank::cli
