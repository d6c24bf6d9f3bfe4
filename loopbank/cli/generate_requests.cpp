#include "loopbank/cli/generate_requests.h"

namespace loopbank::cli {

void run_requests(const Generator& generator, const std::vector<CompletionRequest>& requests,
                  const CompletionHandlers& handlers) {
  for (const auto& request : requests) {
    generator.check_options(request.options, request.where);
    (void)generator.encode_prompt(request.prompt, request.where);
  }
  for (const auto& request : requests) {
    for (int64_t completion = 0; completion < request.n; ++completion) {
      if (handlers.is_done && handlers.is_done(request, completion)) {
        continue;
      }
      auto options = request.options;
      options.completion = completion;
      const auto generation = generator.generate(request.prompt, options, handlers.take_text);
      if (handlers.take && !handlers.take(request, completion, generation)) {
        return;
      }
    }
  }
}

}  // namespace loopbank::cli
