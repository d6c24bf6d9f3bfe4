#include "loopbank/cli/generate_requests.h"

#include <map>
#include <utility>

namespace loopbank::cli {
namespace {

/// Whether all completions of a request are there.
bool is_whole(const CompletionRequest& request, const CompletionHandlers& handlers) {
  for (int64_t c = 0; handlers.is_done && c < request.n; ++c) {
    if (!handlers.is_done(request, c)) {
      return false;
    }
  }
  return static_cast<bool>(handlers.is_done);
}

}  // namespace

void run_requests(Generator& generator, const std::vector<CompletionRequest>& requests,
                  const CompletionHandlers& handlers) {
  std::vector<Request> checked;
  for (const auto& request : requests) {
    checked.push_back(generator.request_of(request.prompt, request.options, request.where));
    checked.back().completions = request.n;
  }
  std::map<RequestId, const CompletionRequest*> asked;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (is_whole(requests[i], handlers)) {
      continue;
    }
    const auto id = generator.add(std::move(checked[i]), requests[i].options.stop,
                                  [&](const Generation&, std::string_view piece) {
                                    return !handlers.take_text || handlers.take_text(piece);
                                  });
    asked[id] = &requests[i];
  }
  while (!generator.idle()) {
    for (const auto& generation : generator.step()) {
      const auto& request = *asked.at(generation.request);
      const bool is_new = !handlers.is_done || !handlers.is_done(request, generation.completion);
      if (is_new && handlers.take && !handlers.take(request, generation)) {
        return;
      }
    }
  }
}

}  // namespace loopbank::cli
